"""podsupd: a supervisor for Podman pods on a single host."""

__version__ = "0.1.0"
