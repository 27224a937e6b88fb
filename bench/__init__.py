"""Measurements of podsupd against what Podman does alone, on this machine, in one run: ``python -m bench.run``."""
