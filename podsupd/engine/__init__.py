"""The asyncio heart: tasks, workers, observer, fleet. Decides nothing itself (core does), and talks to ports only."""
