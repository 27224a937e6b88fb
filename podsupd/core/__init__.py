"""Decisions, pure: no asyncio, clock, random, logging, files or network may be imported here."""
