"""The daemon's settings with their defaults (INTERFACE: podsupd.toml). Durations in seconds."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ManifestSettings:
    """Where the manifests are, and how often the directory is scanned when no event hastens it."""

    dir: str = "/etc/podsupd/pods.d"
    rescan_interval_s: float = 10.0


@dataclass(frozen=True, slots=True)
class PodmanSettings:
    """The libpod socket (empty url: as the podman command finds it)."""

    url: str = ""
    relist_interval_s: float = 10.0
    request_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """The control endpoint."""

    socket: str = "/run/podsupd/podsupd.sock"
    socket_mode: int = 0o660
    socket_group: str = "podsupd"
    listen: str = ""
    token_file: str = ""
    tls_cert_file: str = ""
    tls_key_file: str = ""


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """The read-only metrics listener; empty is off."""

    listen: str = "127.0.0.1:9911"


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """allow_host_exec: commands on the host as probes."""

    allow_host_exec: bool = False


@dataclass(frozen=True, slots=True)
class SignalSettings:
    """tracer: auto, tracefs or off; keep: records kept."""

    tracer: str = "auto"
    keep: int = 100_000


@dataclass(frozen=True, slots=True)
class StateSettings:
    """Where state.db, history.db and the owner id live, and how much history is kept."""

    dir: str = "/var/lib/podsupd"
    keep_days: float = 30.0
    max_mb: float = 64.0


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """Whether images that podsupd pulled are removed when no pod needs them, by the kubelet's rules.

    maximum_age_s: 0 is no limit. The thresholds are of the disk that Podman keeps images on.
    """

    gc: bool = False
    gc_interval_s: float = 300.0
    minimum_age_s: float = 120.0
    maximum_age_s: float = 0.0
    high_threshold_percent: float = 85.0
    low_threshold_percent: float = 80.0


@dataclass(frozen=True, slots=True)
class LogSettings:
    """format: auto, json or console; level: debug, info, warning or error."""

    format: str = "auto"
    level: str = "info"


@dataclass(frozen=True, slots=True)
class Settings:
    """All of podsupd.toml."""

    manifests: ManifestSettings = field(default_factory=ManifestSettings)
    podman: PodmanSettings = field(default_factory=PodmanSettings)
    api: ApiSettings = field(default_factory=ApiSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    probes: ProbeSettings = field(default_factory=ProbeSettings)
    signals: SignalSettings = field(default_factory=SignalSettings)
    state: StateSettings = field(default_factory=StateSettings)
    images: ImageSettings = field(default_factory=ImageSettings)
    log: LogSettings = field(default_factory=LogSettings)
