"""Whose credentials an image is pulled with."""

import base64
import json
from typing import Any

import pytest

from podsupd.core.registries import login
from podsupd.model.references import Login, ObjectKind, ObjectSpec
from podsupd.model.spec import ContainerSpec, PodSpec, Source

APP = "registry.example:5000/team/app:1"


def pod(auths: Any, *, image: str = APP, key: str = ".dockerconfigjson") -> PodSpec:
    """Return a pod of this image whose pull secret says this."""
    data = auths if isinstance(auths, bytes) else json.dumps(auths).encode()
    secret = ObjectSpec(ObjectKind.SECRET, "pull", "/d/s.yaml", data={key: data})
    return PodSpec(
        "p", Source("/d/p.yaml"), (ContainerSpec("c", "p-c", image),), pull_secrets=("none", "pull"), objects=(secret,)
    )


def entry(user: str) -> dict[str, str]:
    """Return an entry as docker login writes it."""
    return {"auth": base64.b64encode(f"{user}:pass:word".encode()).decode()}


@pytest.mark.parametrize(
    ("image", "user"),
    [
        (APP, "team"),
        ("registry.example:5000/other/app:1", "host"),
        ("docker.io/library/nginx:latest", "hub"),
        ("elsewhere.example/app:1", None),
        ("registry.example:5000/teams/app:1", "host"),
    ],
)
def test_the_most_exact_entry_counts(image: str, user: str | None) -> None:
    """One Secret with several registries and paths gives each image its own login."""
    auths = {
        "registry.example:5000": entry("host"),
        "https://registry.example:5000/team": entry("team"),
        "https://index.docker.io/v1/": {"username": "hub", "password": "pass:word"},
    }
    found = login([pod({"auths": auths}, image=image)], image)
    assert found == (None if user is None else Login(user, "pass:word"))


def test_only_pods_that_use_the_image_lend_their_login() -> None:
    """A pod's secret is not sent to a registry for the sake of another pod."""
    auths = {"auths": {"registry.example:5000": entry("host")}}
    assert login([pod(auths, image="registry.example:5000/x:1")], APP) is None
    assert login([pod(auths)], APP) == Login("host", "pass:word")


@pytest.mark.parametrize(
    "spoiled", [b"{", b"[]", {"auths": []}, {"auths": {"registry.example:5000": {"auth": "?"}}}, {"auths": {"x": 1}}]
)
def test_a_spoiled_secret_is_passed_over(spoiled: Any) -> None:
    """A typing error in a pull secret leaves the pull to Podman's own credentials."""
    assert login([pod(spoiled)], APP) is None


def test_the_old_form_is_read_and_nothing_is_shown() -> None:
    """Secrets of type kubernetes.io/dockercfg work, and a login's repr does not tell the password."""
    found = login([pod({"registry.example:5000": entry("old")}, key=".dockercfg")], APP)
    assert found == Login("old", "pass:word")
    assert "pass:word" not in repr(found)
