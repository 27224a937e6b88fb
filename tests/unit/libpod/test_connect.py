"""The Podman that the podman command would use is the one that podsupd uses."""

import json
import os
from pathlib import Path

import pytest

from podsupd.errors import ConfigError
from podsupd.libpod import default_socket, find_url


@pytest.fixture(autouse=True)
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the containers folder of an empty home."""
    for name in ("CONTAINER_HOST", "CONTAINER_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "containers"
    folder.mkdir()
    return folder


def connections(folder: Path, default: str, **uris: str) -> None:
    """Write podman-connections.json as podman system connection add does."""
    known = {name: {"URI": uri} for name, uri in uris.items()}
    (folder / "podman-connections.json").write_text(
        json.dumps({"Connection": {"Default": default, "Connections": known}})
    )


def test_without_anything_it_is_the_default_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with podman.socket needs no setting, as root or not."""
    assert find_url("") == f"unix://{default_socket()}"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert find_url("") == "unix:///run/podman/podman.sock"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert find_url("") == "unix:///run/user/7/podman/podman.sock"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert find_url("") == "unix:///run/user/1000/podman/podman.sock"


def test_the_setting_wins(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    """What the settings file says is used, as a URL or a path."""
    monkeypatch.setenv("CONTAINER_HOST", "unix:///env.sock")
    connections(config, "a", a="unix:///file.sock")
    assert find_url("unix:///set.sock") == "unix:///set.sock"
    assert find_url("/set.sock") == "unix:///set.sock"
    assert find_url("") == "unix:///env.sock"
    monkeypatch.delenv("CONTAINER_HOST")
    assert find_url("") == "unix:///file.sock"


def test_a_named_connection_is_used(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    """CONTAINER_CONNECTION chooses among the known connections."""
    connections(config, "a", a="unix:///a.sock", b="unix:///b.sock")
    monkeypatch.setenv("CONTAINER_CONNECTION", "b")
    assert find_url("") == "unix:///b.sock"
    monkeypatch.setenv("CONTAINER_CONNECTION", "c")
    with pytest.raises(ConfigError, match="cannot use connection 'c' of CONTAINER_CONNECTION"):
        find_url("")


def test_a_default_connection_elsewhere_is_passed_over(config: Path) -> None:
    """A user who also keeps a remote machine supervises this one all the same."""
    connections(config, "vm", vm="ssh://core@localhost:53298/run/podman.sock")
    assert find_url("") == f"unix://{default_socket()}"


def test_containers_conf_is_read(config: Path) -> None:
    """The older place of connections works too, and a file without any is no error."""
    conf = config / "containers.conf"
    conf.write_text('[engine]\ncgroup_manager = "cgroupfs"\n')
    assert find_url("") == f"unix://{default_socket()}"
    conf.write_text(
        '[engine]\nactive_service = "a"\n[engine.service_destinations.a]\nuri = "unix:///conf.sock"\n'
    )  # fmt: skip
    assert find_url("") == "unix:///conf.sock"


def test_a_broken_file_is_named(config: Path) -> None:
    """A connections file that cannot be read says which, and how to do without."""
    (config / "containers.conf").write_text("not toml at all")
    with pytest.raises(ConfigError, match=r"cannot read Podman's connections in .*containers.conf.*\[podman\] url"):
        find_url("")


@pytest.mark.parametrize("url", ["ssh://root@box/run/podman/podman.sock", "tcp://box:8080", "unix://relative"])
def test_another_machine_is_refused_when_asked_for(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A remote Podman is a clear error, since probes and signals need its host."""
    with pytest.raises(ConfigError, match=r"podsupd talks to the Podman of its own host only"):
        find_url(url)
    monkeypatch.setenv("CONTAINER_HOST", url)
    with pytest.raises(ConfigError, match=r"\(CONTAINER_HOST\)"):
        find_url("")
