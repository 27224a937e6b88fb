"""What every test shares."""

import asyncio

# looptime asks the policy for a loop before a test without one of its own; without this it would make one that nobody
# closes, and a random later test would fail for it.
asyncio.set_event_loop(None)
