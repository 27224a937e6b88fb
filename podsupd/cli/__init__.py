"""The command line: commands, rendering, and a client of the control endpoint.

Nothing is decided here: client commands ask the daemon and show its answer. They start fast, so what only ``run``,
``check`` and the renderers need (aiohttp, pydantic, rich) is imported by them alone.
"""
