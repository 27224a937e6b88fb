"""With which credentials an image is pulled: imagePullSecrets of the pods that use it."""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from podsupd.core.environment import find
from podsupd.model.references import Login, ObjectKind
from podsupd.model.spec import PodSpec

_KEYS = (".dockerconfigjson", ".dockercfg")
_DOCKER_HUB = frozenset(("docker.io", "index.docker.io", "registry-1.docker.io"))


def login(pods: Iterable[PodSpec], image: str) -> Login | None:
    """Return who to be for pulling an image (a full reference): the most exact entry of any pod that uses it.

    None where no pull secret speaks of its registry: then Podman's own auth.json holds.
    """
    best: tuple[int, Login] | None = None
    for pod in pods:
        if image in pod.images:
            for place, one in _entries(pod):
                if _covers(place, image) and (best is None or len(place) > best[0]):
                    best = (len(place), one)
    return best[1] if best else None


def _entries(pod: PodSpec) -> Iterator[tuple[str, Login]]:
    """Yield (host and path, login) of a pod's pull secrets; what cannot be read is passed over."""
    for name in pod.pull_secrets:
        secret = find(pod, ObjectKind.SECRET, name)
        for key in _KEYS if secret else ():
            try:
                config = json.loads(secret.data[key]) if secret and key in secret.data else {}
            except ValueError:
                continue
            places = config.get("auths", {}) if key == _KEYS[0] and isinstance(config, dict) else config
            for place, entry in places.items() if isinstance(places, dict) else ():
                one = _login(entry) if isinstance(entry, dict) else None
                if one:
                    yield _place(place), one


def _login(entry: Mapping[str, Any]) -> Login | None:
    user, password = entry.get("username"), entry.get("password")
    if isinstance(user, str) and isinstance(password, str):
        return Login(user, password)
    try:
        coded = base64.b64decode(str(entry.get("auth") or ""), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    user, colon, password = coded.partition(":")
    return Login(user, password) if colon else None


def _place(text: str) -> str:
    """Return ``host/path`` of a key such as ``https://index.docker.io/v1/``."""
    place = text.partition("://")[2] if "://" in text else text
    host, _, path = place.strip("/").partition("/")
    host = "docker.io" if host in _DOCKER_HUB else host
    path = "" if path in ("v1", "v2") else path
    return f"{host}/{path}" if path else host


def _covers(place: str, image: str) -> bool:
    return image.startswith(f"{place}/") or image.split("@", maxsplit=1)[0].rpartition(":")[0] == place
