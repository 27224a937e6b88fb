"""The manifest directory: what its files say now, and a hint when something may have changed.

Reads only, and decides nothing: what a missing or broken file means is `core.desired`'s business. Never raises for
what is wrong with the directory or a file; that is part of the answer.
"""

from podsupd.configdir.directory import ManifestDirectory

__all__ = ["ManifestDirectory"]
