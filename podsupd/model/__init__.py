"""Frozen dataclasses and enums that every room shares: no behaviour beyond properties, no imports from above."""
