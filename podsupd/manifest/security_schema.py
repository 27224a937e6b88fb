"""securityContext of pod and container as pydantic models."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from podsupd.manifest import names
from podsupd.manifest.base import INT32, Model, Word

_CAPABILITY = re.compile(r"[A-Z_]+")
_SYSCTL = re.compile(r"[a-z0-9]([-_a-z0-9]*[a-z0-9])?([./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)+")
_SHARED_WITH_HOST = "the kernel has one value of it for the whole host: set it in /etc/sysctl.d"


def _capability(value: str) -> str:
    if not _CAPABILITY.fullmatch(value):
        raise ValueError(f'must be the name of a capability, as NET_ADMIN, or ALL, found "{value}"')
    return value.removeprefix("CAP_")


def _sysctl(value: str) -> str:
    if not _SYSCTL.fullmatch(value):
        raise ValueError(f'must be the name of a sysctl, as net.core.somaxconn, found "{value}"')
    name = value.replace("/", ".")
    if not name.startswith(("net.", "kernel.shm", "kernel.msg", "fs.mqueue.")) and name != "kernel.sem":
        raise ValueError(f"must be of a namespace that a pod has (net, ipc), found {name}: {_SHARED_WITH_HOST}")
    return name


def _below(value: str) -> str:
    if value.startswith("/") or ".." in value.split("/"):
        raise ValueError(f'must be a path below the profiles\' directory, found "{value}"')
    return value


Id = Annotated[int, Field(ge=0, le=INT32)]
Capability = Annotated[str, AfterValidator(_capability)]


class _Profile(Model):
    """Of seccomp or AppArmor."""

    type: Literal["RuntimeDefault", "Localhost", "Unconfined"]
    localhost_profile: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.type == "Localhost") != bool(self.localhost_profile):
            raise ValueError(f"localhostProfile goes with type Localhost and with no other, found {self.type}")
        return self


class SeccompProfile(_Profile):
    """Which system calls are allowed."""

    localhost_profile: Annotated[str, AfterValidator(_below)] | None = None


class AppArmorProfile(_Profile):
    """AppArmor's profile."""


class SELinuxOptions(Model):
    """SELinux' label."""

    user: str = ""
    role: str = ""
    type: str = ""
    level: str = ""


class Capabilities(Model):
    """Capabilities beside the runtime's own."""

    add: list[Capability] = []
    drop: list[Capability] = []


class _Context(Model):
    """What pod and container may both say."""

    app_armor_profile: AppArmorProfile | None = None
    run_as_group: Id | None = None
    run_as_non_root: bool | None = None
    run_as_user: Id | None = None
    se_linux_options: SELinuxOptions | None = Field(None, alias="seLinuxOptions")
    seccomp_profile: SeccompProfile | None = None


class SecurityContext(_Context):
    """A container's."""

    allow_privilege_escalation: bool | None = None
    capabilities: Capabilities = Capabilities()
    privileged: bool = False
    proc_mount: Literal["", "Default", "Unmasked"] = ""
    read_only_root_filesystem: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.allow_privilege_escalation is False:
            if self.privileged:
                raise ValueError(
                    "allowPrivilegeEscalation cannot be false where privileged is true, found both: remove one"
                )
            if {"SYS_ADMIN", "ALL"} & set(self.capabilities.add):
                raise ValueError("allowPrivilegeEscalation cannot be false with CAP_SYS_ADMIN, found both: remove one")
        return self


class Sysctl(Model):
    """A kernel parameter of the pod's namespaces."""

    name: Annotated[str, AfterValidator(_sysctl)]
    value: Word


class PodSecurityContext(_Context):
    """A pod's."""

    fs_group: Id | None = None
    fs_group_change_policy: Literal["", "Always", "OnRootMismatch"] = ""
    supplemental_groups: list[Id] = []
    sysctls: list[Sysctl] = []


class HostAlias(Model):
    """A line of /etc/hosts."""

    ip: Annotated[str, AfterValidator(lambda v: names.ip_address(v or "-"))]
    hostnames: list[Annotated[str, AfterValidator(names.dns_subdomain)]] = []


class PodDNSConfigOption(Model):
    """An option of the resolver."""

    name: Word
    value: str | None = None


class PodDNSConfig(Model):
    """What comes into resolv.conf."""

    nameservers: list[Annotated[str, AfterValidator(lambda v: names.ip_address(v or "-"))]] = []
    options: list[PodDNSConfigOption] = []
    searches: list[Word] = []
