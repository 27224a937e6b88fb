"""With which rights a pod's processes run: securityContext, normalised."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Security:
    """A container's rights; what it does not say itself is taken from the pod.

    user, group: None is the image's. seccomp: empty is Podman's default profile, else ``unconfined`` or the path of a
    profile. apparmor: empty is the default, else ``unconfined`` or a profile's name. selinux: ``user:``, ``role:``,
    ``type:`` and ``level:`` with their values. escalate: False is no_new_privs.
    """

    user: int | None = None
    group: int | None = None
    non_root: bool = False
    privileged: bool = False
    read_only_root: bool = False
    escalate: bool = True
    capabilities: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    seccomp: str = ""
    apparmor: str = ""
    selinux: tuple[str, ...] = ()
    unmasked_proc: bool = False


@dataclass(frozen=True, slots=True)
class PodSecurity:
    """What all containers of a pod have. fs_group: also owns the pod's own volumes.

    fs_group_always: the owner of every file is set at each creation, not only where the volume's root differs.
    """

    groups: tuple[int, ...] = ()
    fs_group: int | None = None
    fs_group_always: bool = True
    sysctls: tuple[tuple[str, str], ...] = ()

    @property
    def all_groups(self) -> tuple[int, ...]:
        """Supplementary groups of every process."""
        return tuple(dict.fromkeys([*self.groups, *([] if self.fs_group is None else [self.fs_group])]))
