"""The files that podsupd makes for pods: ConfigMaps, Secrets, the downward API, and the containers' last words.

They lie on a tmpfs where only root gets at them from outside of the containers. Nothing is decided here about what
they hold, and nothing of it is ever logged.
"""

from podsupd.volumes.folder import PodFolders

__all__ = ["PodFolders"]
