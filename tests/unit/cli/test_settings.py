"""Settings: the file, the environment, their order, and what a mistake in them says."""

import os
import re
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

from podsupd.cli import settings as module
from podsupd.cli.settings import SECTIONS, load
from podsupd.errors import ConfigError
from podsupd.model.settings import Settings

EXAMPLE = Path(__file__).parents[3] / "config" / "podsupd.toml"


@pytest.fixture(autouse=True)
def _root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be root without settings of its own in the environment or on the host."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(module, "SYSTEM_CONFIG", "/nonexistent/podsupd.toml")
    for name in list(os.environ):
        if name.startswith("PODSUPD_"):
            monkeypatch.delenv(name)


def written(tmp_path: Path, text: str) -> str:
    """Write a settings file; return its path."""
    path = tmp_path / "podsupd.toml"
    path.write_text(text)
    return str(path)


def test_defaults_are_the_models() -> None:
    """Without a file and an environment everything is as documented."""
    assert load() == Settings()


def test_the_example_shows_every_setting_with_its_default(tmp_path: Path) -> None:
    """Whoever uncomments a line of the shipped file changes nothing until they change its value."""
    text = EXAMPLE.read_text()
    assert load(str(EXAMPLE)) == Settings()
    uncommented = re.sub(r"(?m)^#(?=\w+ = )", "", text)
    found = tomllib.loads(uncommented)
    assert {name: set(keys) for name, keys in found.items()} == {
        name: set(keys) for name, keys in asdict(Settings()).items()
    }
    assert load(written(tmp_path, uncommented)) == Settings()


def test_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line beats the environment, which beats the file."""
    path = written(
        tmp_path,
        '[manifests]\ndir = "/file"\nrescan_interval_s = 3\n[api]\nsocket = "/file.sock"\nsocket_mode = 0o600\n'
        '[log]\nlevel = "debug"\n[probes]\nallow_host_exec = true\n',
    )
    monkeypatch.setenv("PODSUPD_MANIFESTS__DIR", "/env")
    monkeypatch.setenv("PODSUPD_API__SOCKET", "/env.sock")
    monkeypatch.setenv("PODSUPD_API__SOCKET_MODE", "0640")
    monkeypatch.setenv("PODSUPD_STATE__MAX_MB", "12.5")
    monkeypatch.setenv("PODSUPD_METRICS__LISTEN", "")
    monkeypatch.setenv("PODSUPD_SOCKET", "/for/the/client")
    loaded = load(path, socket="given.sock")
    assert loaded.api.socket == str(Path.cwd() / "given.sock")
    assert (loaded.manifests.dir, loaded.manifests.rescan_interval_s) == ("/env", 3.0)
    assert (loaded.api.socket_mode, loaded.state.max_mb, loaded.metrics.listen) == (0o640, 12.5, "")
    assert (loaded.log.level, loaded.probes.allow_host_exec) == ("debug", True)
    assert load(path, manifests="/given").manifests.dir == "/given"


def test_rootless_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without root has everything below their own XDG directories, and reads their own file."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "config" / "podsupd").mkdir(parents=True)
    (tmp_path / "config" / "podsupd" / "podsupd.toml").write_text('[log]\nlevel = "error"\n')
    loaded = load()
    assert loaded.manifests.dir == f"{tmp_path}/config/podsupd/pods.d"
    assert (loaded.api.socket, loaded.api.socket_group) == (f"{tmp_path}/run/podsupd/podsupd.sock", "")
    assert loaded.state.dir == f"{tmp_path}/state/podsupd"
    assert loaded.log.level == "error"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[api]\nsoket = 'x'\n", "FILE:2: api.soket: unknown setting; did you mean socket?"),
        ("\n[metric]\n", "FILE:2: metric: unknown section; did you mean metrics?"),
        ("[log]\ncolour = 1\n", "FILE:2: log.colour: unknown setting; known: format, level"),
        ("log = 3\n", "FILE:1: write [log]: it is a section"),
        ("[log]\nlevel = 'loud'\n", "FILE:2: log.level: input should be 'debug', 'info', 'warning' or 'error'"),
        ("[log]\nformat = 'json'\n\nlevel = 3\n", "FILE:4: log.level: input should be 'debug'"),
        ("[api]\nsocket_mode = '0999'\n", 'FILE:2: api.socket_mode: write an octal mode such as "0660"'),
        ("[api]\nsocket_mode = 660\n", 'FILE:2: api.socket_mode: 660 is no mode: write "0660" or 0o660'),
        ("[api]\nsocket = 'run/x.sock'\n", "FILE:2: api.socket: 'run/x.sock' must be an absolute path"),
        ("[api]\nlisten = '8080'\n", "FILE:2: api.listen: cannot listen on '8080': write HOST:PORT"),
        ("[podman]\nrelist_interval_s = '10'\n", "FILE:2: podman.relist_interval_s: input should be a valid number"),
        ("[podman]\nrelist_interval_s = 0\n", "FILE:2: podman.relist_interval_s: input should be greater than 0"),
        ("[podman]\nrelist_interval_s = inf\n", "FILE:2: podman.relist_interval_s: input should be a finite number"),
        ("[probes]\nallow_host_exec = 'yes'\n", "FILE:2: probes.allow_host_exec: input should be a valid boolean"),
        ("[state]\ndir = ''\n", "FILE:2: state.dir: '' must be an absolute path"),
        (
            "[images]\nhigh_threshold_percent = 70\n",
            "FILE:0: images.low_threshold_percent: must be less than high_threshold_percent (70), found 80",
        ),
        ("[images]\nmaximum_age_s = 60\n", "FILE:2: images.maximum_age_s: must be at least minimum_age_s, found 60"),
        ("[images]\nlow_threshold_percent = 101\n", "FILE:2: images.low_threshold_percent: input should be less than"),
        ("log.levle = 'info'\n", "FILE:1: log.levle: unknown setting; did you mean level?"),
        ("[log\n", "FILE:1: cannot read TOML: "),
    ],
)
def test_a_mistake_in_the_file(tmp_path: Path, text: str, message: str) -> None:
    """A mistake is named with file, line, key and what was likely meant."""
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load(path)
    assert str(error.value).startswith(message.replace("FILE", path))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PODSUPD_API__SOKET", "x", "cannot use PODSUPD_API__SOKET: unknown setting api.soket; did you mean socket?"),
        ("PODSUPD_LOGS__LEVEL", "info", "cannot use PODSUPD_LOGS__LEVEL: unknown section logs; did you mean log?"),
        ("PODSUPD_STATE__MAX_MB", "big", "cannot use the environment: PODSUPD_STATE__MAX_MB: input should be a valid"),
        ("PODSUPD_API__SOCKET_MODE", "rw", "cannot use the environment: PODSUPD_API__SOCKET_MODE: write an octal mode"),
    ],
)
def test_a_mistake_in_the_environment(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    """A mistake is named with the variable, not with a file that has nothing to do with it."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as error:
        load()
    assert str(error.value).startswith(message)


def test_a_file_that_was_asked_for_must_be_there() -> None:
    """A misspelt --config never starts a daemon with the defaults."""
    with pytest.raises(ConfigError, match=r"cannot read the settings /nonexistent/x\.toml: No such file or directory"):
        load("/nonexistent/x.toml")


def test_every_section_is_checked() -> None:
    """A setting that is added to the model is not forgotten here."""
    checked = {name: set(field.annotation.model_fields) for name, field in module._Sections.model_fields.items()}
    assert checked == {name: set(keys) for name, keys in asdict(Settings()).items()}
    assert list(SECTIONS) == list(checked)
