"""Manifests: YAML or JSON text in, `podsupd.model` out.

Pure: no files, no clock, no logging, no Podman. Nothing is decided here about what runs; nothing is raised for a
wrong manifest, since every fault is a `Problem` with file, line, YAML path and a way out.
"""

from podsupd.manifest.parser import parse

__all__ = ["parse"]
