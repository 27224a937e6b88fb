"""What a container is told by its environment: Kubernetes' rules, on specs made here."""

from fractions import Fraction
from typing import Any

import pytest

from podsupd.core.digest import changed_fields, container_digest
from podsupd.core.environment import environment, expand
from podsupd.model.references import (
    EnvFrom,
    EnvValue,
    FieldRef,
    KeyRef,
    ObjectKind,
    ObjectSpec,
    PodFacts,
    ResourceRef,
)
from podsupd.model.spec import ContainerSpec, PodSpec, Resources, Source

MAP, SECRET = ObjectKind.CONFIG_MAP, ObjectKind.SECRET
APP = ObjectSpec(
    MAP, "app", "/d/app.yaml", data={"host": b"db", "bad=key": b"x", "raw": b"\xff"}, binary=frozenset({"raw"})
)
LOGIN = ObjectSpec(SECRET, "login", "/d/login.yaml", data={"user": b"root", "password": b"hunter2", "key": b"\xff\xfe"})
FACTS = PodFacts("7" * 64, ("10.88.0.9", "fd00::9"), ("192.0.2.7",), "edge-1", 2000, 1 << 30)


def pod(container: ContainerSpec, **changes: Any) -> PodSpec:
    """Return a pod of one container that refers to both objects."""
    known: dict[str, Any] = {
        "labels": {"app": "web"}, "annotations": {"note": "hi"}, "namespace": "shop", "objects": (APP, LOGIN),
    }  # fmt: skip
    return PodSpec("p", Source("/d/p.yaml"), (container,), **known | changes)


def spec(*env: tuple[str, EnvValue], **changes: Any) -> ContainerSpec:
    """Return a container with these variables."""
    return ContainerSpec("c", "p-c", "image", env=env, **changes)


def values(container: ContainerSpec, **changes: Any) -> dict[str, str]:
    """Return the variables of a container whose references are all there."""
    found = environment(pod(container, **changes), container, FACTS)
    assert found.missing == ""
    return dict(found.values)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("$(A)", "1"), ("a$(A)b$(B)", "a1b"), ("$(C)", "$(C)"), ("$$(A)", "$(A)"), ("$$$(A)", "$1"), ("$A", "$A"),
        ("$", "$"), ("$$", "$"), ("$(A", "$(A"), ("$($(A))", "$($(A))"), ("$()", "$()"), ("$x$(A)", "$x1"), ("", ""),
    ],
)  # fmt: skip
def test_references_are_expanded_as_kubernetes_does(text: str, made: str) -> None:
    """A command copied from a Kubernetes page means the same here: set, unset, escaped and half-written references."""
    assert expand(text, {"A": "1", "B": ""}) == made


def test_a_variable_sees_those_before_it() -> None:
    """Order counts as in Kubernetes: what is set later is not there yet, and the last value of a name is used."""
    container = spec(("A", "1"), ("B", "$(A)$(C)"), ("C", "3"), ("A", "2"), ("D", "$(A)"))
    assert values(container) == {"A": "2", "B": "1$(C)", "C": "3", "D": "2"}


def test_env_wins_over_env_from_and_the_later_source_over_the_earlier() -> None:
    """Defaults from a ConfigMap can be overridden one by one, and be used in what is written out."""
    other = ObjectSpec(MAP, "other", "/d/o.yaml", data={"host": b"other"})
    container = spec(
        ("X_user", "me"),
        ("URL", "http://$(host)"),
        env_from=(EnvFrom(MAP, "app"), EnvFrom(SECRET, "user", "X_"), EnvFrom(MAP, "other")),
    )
    names = ObjectSpec(SECRET, "user", "/d/u.yaml", data={"user": b"root"})
    assert values(container, objects=(APP, names, other)) == {"host": "other", "X_user": "me", "URL": "http://other"}


def test_fields_and_resources_are_told() -> None:
    """A container knows its pod, its node and its limits without asking anybody."""
    fields = {
        "metadata.name": "p", "metadata.namespace": "shop", "metadata.uid": "7" * 64, "metadata.labels['app']": "web",
        "metadata.annotations['note']": "hi", "metadata.labels['none']": "", "spec.nodeName": "edge-1",
        "spec.serviceAccountName": "default", "status.podIP": "10.88.0.9", "status.podIPs": "10.88.0.9,fd00::9",
        "status.hostIP": "192.0.2.7", "status.hostIPs": "192.0.2.7",
    }  # fmt: skip
    assert values(spec(*((path, FieldRef(path)) for path in fields))) == fields
    asked: dict[str, EnvValue] = {
        "1": ResourceRef("limits.cpu"),
        "1500": ResourceRef("limits.cpu", divisor=Fraction(1, 1000)),
        "0": ResourceRef("requests.cpu"),
        "64": ResourceRef("limits.memory", "c", Fraction(1 << 20)),
        "1073741824": ResourceRef("requests.memory"),
    }
    limited = spec(*asked.items(), resources=Resources(cpu_limit_milli=1500, memory_limit=64 << 20))
    limits = values(limited)
    assert limits["1"] == "2"
    assert limits["1500"] == "1500"
    assert limits["64"] == "64"
    assert (limits["0"], limits["1073741824"]) == ("0", "0")
    unlimited = values(spec(("CPU", ResourceRef("limits.cpu")), ("MEMORY", ResourceRef("limits.memory"))))
    assert unlimited == {"CPU": "2", "MEMORY": "1073741824"}


@pytest.mark.parametrize(
    ("container", "message"),
    [
        (spec(("A", KeyRef(MAP, "none", "k"))), 'configmap "none" not found'),
        (spec(("A", KeyRef(SECRET, "login", "k"))), "couldn't find key k in Secret shop/login"),
        (spec(("A", KeyRef(MAP, "app", "raw"))), "couldn't find key raw in ConfigMap shop/app"),
        (spec(env_from=(EnvFrom(SECRET, "none"),)), 'secret "none" not found'),
        (spec(("A", KeyRef(SECRET, "login", "key"))), "key key in Secret login is not UTF-8"),
    ],
)
def test_what_is_missing_is_named_as_the_kubelet_does(container: ContainerSpec, message: str) -> None:
    """The reason is the one that a search on the web finds, and no value of a Secret is in it."""
    found = environment(pod(container), container)
    assert found.missing.startswith(message)
    assert found.values == {}


def test_what_is_optional_may_be_missing() -> None:
    """Without an optional object or key there is no variable, and nothing waits."""
    container = spec(
        ("A", KeyRef(MAP, "none", "k", optional=True)),
        ("B", KeyRef(SECRET, "login", "k", optional=True)),
        env_from=(EnvFrom(MAP, "none", optional=True),),
    )
    assert values(container) == {}


def test_a_changed_value_needs_a_new_container_and_a_host_fact_does_not() -> None:
    """An edit of a Secret reaches the environment that uses it; another address of the host restarts nothing."""
    container = spec(("P", KeyRef(SECRET, "login", "password")), ("IP", FieldRef("status.hostIP")))
    before = container_digest(pod(container), container)
    edited = ObjectSpec(SECRET, "login", "/d/login.yaml", data={**LOGIN.data, "password": b"better"})
    unused = ObjectSpec(SECRET, "login", "/d/login.yaml", data={**LOGIN.data, "user": b"other"})
    assert changed_fields(before, container_digest(pod(container, objects=(edited,)), container)) == ("env",)
    assert changed_fields(before, container_digest(pod(container, objects=(unused,)), container)) == ()
    shared = spec(env_from=(EnvFrom(SECRET, "login"),))
    plain = {"user": b"root"}
    first = ObjectSpec(SECRET, "login", "/d/login.yaml", data=plain)
    second = ObjectSpec(SECRET, "login", "/d/login.yaml", data={**plain, "more": b"x"})
    digests = [container_digest(pod(shared, objects=(one,)), shared) for one in (first, second)]
    assert changed_fields(*digests) == ("envFrom",)


def test_a_secret_does_not_show_in_a_digest_or_a_repr() -> None:
    """Neither a label nor a debugger's line gives a Secret away."""
    container = spec(("P", KeyRef(SECRET, "login", "password")))
    assert "hunter2" not in container_digest(pod(container), container) + repr(pod(container))
