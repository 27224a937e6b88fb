"""Volumes and their mounts as libpod is told them."""

import os
from pathlib import Path
from typing import Any

import pytest

from podsupd.errors import PodmanRejected
from podsupd.libpod import hostpath, mounts
from podsupd.libpod.mounts import Ground
from podsupd.model.observed import OWNER_LABEL, POD_LABEL
from podsupd.model.references import ObjectKind, ObjectSpec
from podsupd.model.spec import ContainerSpec, PodSpec, Source
from podsupd.model.volumes import (
    ClaimVolume,
    EmptyDir,
    HostPath,
    ImageVolume,
    Projected,
    VolumeMount,
    VolumeSpec,
)

LABELS = {OWNER_LABEL: "me", POD_LABEL: "p"}


def made(*given: tuple[VolumeSpec, VolumeMount], ground: Ground | None = None) -> dict[str, Any]:
    """Return what is sent of these mounts."""
    container = ContainerSpec("c", "p-c", "image", mounts=tuple(m for _, m in given))
    pod = PodSpec("p", Source("/p.yaml"), (container,), volumes=tuple(dict.fromkeys(v for v, _ in given)))
    return mounts.fields(container, pod, ground or Ground())


def test_every_kind_of_volume_is_mounted_its_own_way() -> None:
    """The host's files are bound, the pod's and claims are named volumes, an image is an image; files are read-only."""
    sent = made(
        (VolumeSpec("h", HostPath("/srv")), VolumeMount("h", "/h", propagation="HostToContainer")),
        (VolumeSpec("b", HostPath("/bi")), VolumeMount("b", "/b", read_only=True, propagation="Bidirectional")),
        (VolumeSpec("e", EmptyDir()), VolumeMount("e", "/e")),
        (VolumeSpec("c", ClaimVolume("data")), VolumeMount("c", "/c")),
        (VolumeSpec("r", ClaimVolume("data", read_only=True)), VolumeMount("r", "/r")),
        (VolumeSpec("i", ImageVolume("docker.io/library/x:1")), VolumeMount("i", "/i")),
        (VolumeSpec("f", Projected("secret", ())), VolumeMount("f", "/f")),
        (VolumeSpec("s", EmptyDir()), VolumeMount("s", "/s", sub_path="in")),
        ground=Ground(sources={"/f": "/run/v/p/f", "/s": "/var/v/in", "/h": "/srv"}, message="/run/v/p/.messages/c"),
    )
    assert sent["mounts"] == [
        {"type": "bind", "source": "/srv", "destination": "/h", "options": ["rbind", "rw", "rslave"]},
        {"type": "bind", "source": "/bi", "destination": "/b", "options": ["rbind", "ro", "rshared"]},
        {"type": "bind", "source": "/run/v/p/f", "destination": "/f", "options": ["rbind", "ro"]},
        {"type": "bind", "source": "/var/v/in", "destination": "/s", "options": ["rbind", "rw"]},
        {
            "type": "bind", "source": "/run/v/p/.messages/c", "destination": "/dev/termination-log",
            "options": ["rbind", "rw"],
        },
    ]  # fmt: skip
    assert sent["volumes"] == [
        {"Name": "p-e", "Dest": "/e", "Options": ["nocopy", "rw"]},
        {"Name": "data", "Dest": "/c", "Options": ["nocopy", "rw"]},
        {"Name": "data", "Dest": "/r", "Options": ["nocopy", "ro"]},
    ]
    assert sent["image_volumes"] == [{"Source": "docker.io/library/x:1", "Destination": "/i", "ReadWrite": False}]


def test_a_claim_is_no_pods() -> None:
    """Its volume carries the owner and not the pod, and is made as its annotations say."""
    plain = PodSpec("p", Source("/p.yaml"), ())
    assert mounts.claim_body(plain, "data", LABELS) == {
        "Name": "data", "Driver": "local", "Label": {OWNER_LABEL: "me"}, "Options": {"o": "uid=0,gid=0"},
    }  # fmt: skip
    claim = ObjectSpec(
        ObjectKind.CLAIM, "data", "/p.yaml", options={"driver": "local", "type": "nfs", "device": ":/x", "o": "addr=a"}
    )
    asked = PodSpec("p", Source("/p.yaml"), (), objects=(claim,))
    assert mounts.claim_body(asked, "data", LABELS)["Options"] == {"type": "nfs", "device": ":/x", "o": "addr=a"}


def test_a_sub_path_is_made_and_stays_inside(tmp_path: Path) -> None:
    """A missing directory is made; a link that a container left in its volume opens nothing of the host."""
    root = tmp_path / "v"
    root.mkdir()
    made_path = Path(hostpath.inside("v", str(root), "a/b"))
    assert made_path.is_dir()
    (root / "out").symlink_to("/etc")
    (root / "in").symlink_to("a")
    assert hostpath.inside("v", str(root), "in/b") == str(made_path)
    for inner, reason in (
        ("out", "leads out of the volume"),
        ("out/passwd", "leads out"),
        ("../x", "inside of the volume"),
        ("$(NONE)/x", "a variable of subPathExpr is not set"),
    ):
        with pytest.raises(PodmanRejected, match=reason):
            hostpath.inside("v", str(root), inner)
    with pytest.raises(PodmanRejected, match="mount it whole"):
        hostpath.inside("v", "", "a")


def test_a_volume_is_given_to_its_group(tmp_path: Path) -> None:
    """FsGroup owns what is there and what is made; with OnRootMismatch a large volume is not walked every time."""
    root = tmp_path / "v"
    (root / "d").mkdir(parents=True)
    (root / "f").write_text("x")
    (root / "f").chmod(0o600)
    (root / "out").symlink_to("/etc/passwd")
    before = Path("/etc/passwd").stat().st_gid
    hostpath.give(str(root), 4004, always=True)
    assert (root / "f").stat().st_gid == (root / "d").stat().st_gid == 4004
    assert (root / "f").stat().st_mode & 0o777 == 0o660
    assert root.stat().st_mode & 0o2770 == 0o2770
    assert Path("/etc/passwd").stat().st_gid == before
    (root / "new").write_text("x")
    (root / "new").chmod(0o600)
    hostpath.give(str(root), 4004, always=False)
    assert (root / "new").stat().st_mode & 0o777 == 0o600
    hostpath.give(str(root), 4005, always=False)
    assert (root / "new").stat().st_gid == 4005


def test_a_link_that_a_container_puts_in_the_way_leads_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that has the volume cannot have the host's files given away, however quick it is."""
    host, inside = tmp_path / "host", tmp_path / "v" / "d"
    inside.mkdir(parents=True)
    host.mkdir()
    for folder in (host, inside):
        (folder / "f").write_text("x")
        (folder / "f").chmod(0o600)
    chown, before = os.chown, (host / "f").stat()

    def chown_and_swap(*what: Any, **how: Any) -> None:
        chown(*what, **how)
        if inside.stat().st_gid == 4004 and not inside.is_symlink():
            inside.rename(tmp_path / "v" / "e")
            inside.symlink_to(host)

    monkeypatch.setattr(os, "chown", chown_and_swap)
    hostpath.give(str(tmp_path / "v"), 4004, always=True)
    assert inside.is_symlink()
    after = (host / "f").stat()
    assert (after.st_gid, after.st_mode) == (before.st_gid, before.st_mode)
