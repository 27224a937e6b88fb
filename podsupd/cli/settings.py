"""podsupd.toml and the environment, strictly checked, as model.settings.Settings.

Strongest first: the command line, PODSUPD_<SECTION>__<KEY>, the file, the defaults (those of a rootless user differ).
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from podsupd.errors import ConfigError
from podsupd.model.settings import (
    ApiSettings,
    ImageSettings,
    LogSettings,
    ManifestSettings,
    MetricsSettings,
    PodmanSettings,
    ProbeSettings,
    Settings,
    SignalSettings,
    StateSettings,
)
from podsupd.web.sockets import parse_address

PREFIX = "PODSUPD_"
SYSTEM_CONFIG = "/etc/podsupd/podsupd.toml"

_MAX_MODE = 0o777


def _mode(value: object) -> object:
    """Read "0660" as octal; an int is one already, written 0o660 in TOML."""
    if isinstance(value, str):
        if not re.fullmatch(r"(0o?)?[0-7]{1,3}", value):
            raise ValueError('write an octal mode such as "0660"')
        return int(value.removeprefix("0o"), 8)
    if isinstance(value, int) and not 0 <= value <= _MAX_MODE:
        raise ValueError(f'{value} is no mode: write "0{value}" or 0o{value}')
    return value


def _absolute(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(f"{value!r} must be an absolute path")
    return value


def _absolute_or_empty(value: str) -> str:
    return _absolute(value) if value else value


def _address(setting: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        try:
            if value:
                parse_address(value, setting)
        except ConfigError as error:
            raise ValueError(error.message) from error
        return value

    return check


MaybePath = Annotated[str, AfterValidator(_absolute_or_empty)]
NeededPath = Annotated[str, AfterValidator(_absolute)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Manifests(_Section):
    dir: NeededPath
    rescan_interval_s: Seconds


class _Podman(_Section):
    url: str
    relist_interval_s: Seconds
    request_timeout_s: Seconds


class _Api(_Section):
    socket: NeededPath
    socket_mode: Annotated[int, BeforeValidator(_mode)]
    socket_group: str
    listen: Annotated[str, AfterValidator(_address("api.listen"))]
    token_file: MaybePath
    tls_cert_file: MaybePath
    tls_key_file: MaybePath


class _Metrics(_Section):
    listen: Annotated[str, AfterValidator(_address("metrics.listen"))]


class _Probes(_Section):
    allow_host_exec: bool


class _Signals(_Section):
    tracer: Literal["auto", "tracefs", "off"]
    keep: Annotated[int, Field(gt=0)]


class _State(_Section):
    dir: NeededPath
    keep_days: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    max_mb: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Images(_Section):
    gc: bool
    gc_interval_s: Seconds
    minimum_age_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    maximum_age_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    high_threshold_percent: Annotated[float, Field(ge=0, le=100)]
    low_threshold_percent: Annotated[float, Field(ge=0, le=100)]

    @field_validator("maximum_age_s")
    @classmethod
    def _older(cls, value: float, others: ValidationInfo) -> float:
        if 0 < value < others.data.get("minimum_age_s", 0.0):
            raise ValueError(f"must be at least minimum_age_s, found {value:g}: 0 is no maximum")
        return value

    @field_validator("low_threshold_percent")
    @classmethod
    def _lower(cls, value: float, others: ValidationInfo) -> float:
        if value >= others.data.get("high_threshold_percent", 100.0):
            high = others.data["high_threshold_percent"]
            raise ValueError(f"must be less than high_threshold_percent ({high:g}), found {value:g}")
        return value


class _Log(_Section):
    format: Literal["auto", "json", "console"]
    level: Literal["debug", "info", "warning", "error"]


class _Sections(BaseSettings):
    """Every section whole: the defaults are the weakest source, so that there is one list of them, the model's."""

    model_config = SettingsConfigDict(extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__")

    manifests: _Manifests
    podman: _Podman
    api: _Api
    metrics: _Metrics
    probes: _Probes
    signals: _Signals
    state: _State
    images: _Images
    log: _Log


SECTIONS: Mapping[str, type[Any]] = {
    "manifests": ManifestSettings,
    "podman": PodmanSettings,
    "api": ApiSettings,
    "metrics": MetricsSettings,
    "probes": ProbeSettings,
    "signals": SignalSettings,
    "state": StateSettings,
    "images": ImageSettings,
    "log": LogSettings,
}

Layer = dict[str, dict[str, Any]]


def load(config: str | None = None, *, manifests: str | None = None, socket: str | None = None) -> Settings:
    """Return the settings in force.

    config: the file (None: the usual one, if it is there). manifests, socket: from the command line.
    Raises ConfigError that names file and line, or the variable, the key and the nearest known name.
    """
    given: Layer = {}
    if manifests:
        given["manifests"] = {"dir": str(Path(manifests).absolute())}
    if socket:
        given["api"] = {"socket": str(Path(socket).absolute())}
    path = Path(config) if config else _usual_config()
    layer: Layer = {}
    if config or path.exists():
        text = _read(path)
        layer = _parse(path, text)
        _check_file(path, text, layer)
    _check_environment()
    return _merge(given, layer)


def _rootless() -> bool:
    return os.geteuid() != 0


def _usual_config() -> Path:
    return _home("XDG_CONFIG_HOME", ".config") / "podsupd.toml" if _rootless() else Path(SYSTEM_CONFIG)


def _home(variable: str, fallback: str) -> Path:
    found = os.environ.get(variable, "")
    return (Path(found) if found.startswith("/") else Path.home() / fallback) / "podsupd"


def defaults() -> Layer:
    """Return every setting's default for this user."""
    layer: Layer = {name: asdict(section()) for name, section in SECTIONS.items()}
    if _rootless():
        runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
        layer["manifests"]["dir"] = str(_home("XDG_CONFIG_HOME", ".config") / "pods.d")
        layer["api"] |= {"socket": f"{runtime}/podsupd/podsupd.sock", "socket_group": ""}
        layer["state"]["dir"] = str(_home("XDG_STATE_HOME", ".local/state"))
    return layer


def _keys(section: str) -> tuple[str, ...]:
    return tuple(field.name for field in fields(SECTIONS[section]))


def _merge(given: Layer, file: Layer) -> Settings:
    """Put the layers together; what is wrong now comes from the environment, since the file was checked alone."""
    weaker = _over(defaults(), file)

    class Loaded(_Sections):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the library's signature
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the library's signature
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, weaker)

    try:
        loaded = Loaded(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [f"{_variable(e['loc'])}: {_said(e)}" for e in error.errors(include_url=False)]
        raise ConfigError("cannot use the environment: " + "; ".join(lines)) from error
    return Settings(**{name: SECTIONS[name](**getattr(loaded, name).model_dump()) for name in SECTIONS})


def _over(weak: Layer, strong: Layer) -> Layer:
    return {name: keys | strong.get(name, {}) for name, keys in weak.items()}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot read the settings {path}: {reason}") from error


def _parse(path: Path, text: str) -> Layer:
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"line (\d+)", str(error))
        line = int(at[1]) if at else text.count("\n") + 1
        raise ConfigError(f"cannot read TOML: {error}", source=str(path), line=line) from error
    for name, keys in found.items():
        if name not in SECTIONS:
            _unknown(path, text, (name,), SECTIONS)
        if not isinstance(keys, dict):
            raise ConfigError(f"write [{name}]: it is a section", source=str(path), line=_line(text, (name,)))
    return found


def _check_file(path: Path, text: str, layer: Layer) -> None:
    """Check each section strictly, with the defaults of what it leaves out: the first fault, with its line."""
    for name, keys in layer.items():
        known = _keys(name)
        for key in keys:
            if key not in known:
                _unknown(path, text, (name, key), known)
        section: type[BaseModel] = _Sections.model_fields[name].annotation  # type: ignore[assignment]
        try:
            section.model_validate(defaults()[name] | keys, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = (name, str(first["loc"][0]))
            raise ConfigError(_said(first), source=str(path), line=_line(text, place), path=".".join(place)) from error


def _unknown(path: Path, text: str, place: tuple[str, ...], known: Iterable[str]) -> None:
    kind = "section" if len(place) == 1 else "setting"
    message = f"unknown {kind}" + _near(place[-1], known)
    raise ConfigError(message, source=str(path), line=_line(text, place), path=".".join(place))


def _near(name: str, known: Iterable[str]) -> str:
    known = tuple(known)
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"


def _line(text: str, place: tuple[str, ...]) -> int:
    """Find the line of ``[section]`` or of a key in it; 0 when it is written in a way that this does not see."""
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([\w-]+)\s*\]", line):
            section = header[1]
            if place == (section,):
                return number
        elif key := re.match(r"\s*([\w.-]+)\s*=", line):
            written = tuple(part for part in (section, *key[1].split(".")) if part)
            if written[: len(place)] == place:
                return number
    return 0


def _check_environment() -> None:
    """Refuse PODSUPD_<SECTION>__<KEY> that means nothing: pydantic-settings does not see an unknown section."""
    for variable in os.environ:
        if not variable.upper().startswith(PREFIX) or "__" not in variable:
            continue
        section, _, key = variable[len(PREFIX) :].lower().partition("__")
        if section not in SECTIONS:
            raise ConfigError(f"cannot use {variable}: unknown section {section}" + _near(section, SECTIONS))
        known = _keys(section)
        if key not in known:
            raise ConfigError(f"cannot use {variable}: unknown setting {section}.{key}" + _near(key, known))


def _variable(place: tuple[int | str, ...]) -> str:
    return PREFIX + "__".join(str(part).upper() for part in place)


def _said(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]
