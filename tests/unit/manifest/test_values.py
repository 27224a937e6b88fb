"""Quantities, names and images: rules of single values."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podsupd.manifest import names
from podsupd.manifest.quantities import milli, parse_quantity, whole


@pytest.mark.parametrize(
    ("text", "thousandths"),
    [
        ("100m", 100),
        ("1", 1000),
        ("1.5", 1500),
        (".5", 500),
        ("2.", 2000),
        ("0", 0),
        ("-0", 0),
        ("+1", 1000),
        ("1e3", 1_000_000),
        ("1E3", 1_000_000),
        ("1E", 10**21),
        ("5e-1", 500),
        ("1n", 1),
        ("1u", 1),
        ("1k", 1_000_000),
        ("64Mi", 64 * 1024**2 * 1000),
        ("2Gi", 2 * 1024**3 * 1000),
        ("0.5Ki", 512_000),
        (0.25, 250),
        (2, 2000),
    ],
)
def test_a_quantity_is_read_as_kubernetes_reads_it(text: object, thousandths: int) -> None:
    """Limits copied from a cluster mean the same here, a little rounded up and never to nothing."""
    assert milli(parse_quantity(text)) == thousandths


@pytest.mark.parametrize("text", ["", "1 Gi", "1MB", "64mi", "m", "1e", "1e1000", "0x10", "1,5", "9" * 70, True, None])
def test_what_is_no_quantity_is_refused(text: object) -> None:
    """64MB is not silently taken for something else."""
    with pytest.raises(ValueError, match="must be a quantity such as 100m"):
        parse_quantity(text)


@pytest.mark.parametrize("text", ["1e30", "10E", "1e999"])
def test_a_quantity_beyond_64_bits_is_refused(text: str) -> None:
    """A slip of the exponent is found before Podman fails with it."""
    with pytest.raises(ValueError, match="is too large"):
        parse_quantity(text)


@given(st.integers(0, 2**40), st.sampled_from(["", "k", "Ki", "M", "Mi", "G", "Gi"]))
def test_whole_bytes_are_exact(number: int, suffix: str) -> None:
    """No byte is lost to floating point."""
    unit = {"": 1, "k": 1000, "Ki": 1024, "M": 10**6, "Mi": 2**20, "G": 10**9, "Gi": 2**30}[suffix]
    if number * unit < 2**63:
        assert whole(parse_quantity(f"{number}{suffix}")) == number * unit


@pytest.mark.parametrize(
    ("image", "normal"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("bitnami/nginx", "docker.io/bitnami/nginx:latest"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("index.docker.io/library/nginx", "docker.io/library/nginx:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app:2", "localhost:5000/app:2"),
        ("registry.example/team/app:v1_2", "registry.example/team/app:v1_2"),
        (f"nginx@sha256:{'a' * 64}", f"docker.io/library/nginx@sha256:{'a' * 64}"),
        (f"nginx:1.27@sha256:{'a' * 64}", f"docker.io/library/nginx@sha256:{'a' * 64}"),
    ],
)
def test_an_image_is_normalised_as_kubernetes_does(image: str, normal: str) -> None:
    """Podman's own short names cannot make nginx another image than it is elsewhere."""
    assert names.image_reference(image) == normal


@pytest.mark.parametrize("image", ["", ":latest", "nginx:", "nginx@sha256:abc", "a//b", "-a", "nginx:a b", "a" * 600])
def test_what_is_no_image_is_refused(image: str) -> None:
    """A slip in an image's name is found before a pull fails with it."""
    with pytest.raises(ValueError, match="must be an image such as nginx"):
        names.image_reference(image)


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (names.dns_label, "a" * 64),
        (names.dns_label, "a."),
        (names.dns_label, "-a"),
        (names.dns_subdomain, "a..b"),
        (names.dns_subdomain, "a" * 254),
        (names.qualified_name, "a/b/c"),
        (names.qualified_name, "/a"),
        (names.qualified_name, "a" * 64),
        (names.label_value, "-a"),
        (names.port_name, "80"),
        (names.port_name, "a--b"),
        (names.env_name, ""),
        (names.header_name, "A B"),
        (names.mount_path, "/a:b"),
        (names.absolute_path, "/a/../b"),
        (names.ip_address, "256.0.0.1"),
        (names.stop_signal, "QUIT"),
        (names.stop_signal, "SIGSTOP"),
        (names.stop_signal, "SIGRTMAX-30"),
    ],
)
def test_what_kubernetes_refuses_is_refused(check: Callable[[str], str], value: str) -> None:
    """A manifest that loads here is not refused by a cluster for its names."""
    with pytest.raises(ValueError, match=r"must|key"):
        check(value)


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (names.dns_label, "a-1"),
        (names.dns_subdomain, "web.example"),
        (names.qualified_name, "example.com/My_key.1"),
        (names.label_value, ""),
        (names.port_name, "http-1"),
        (names.env_name, "my.var-1"),
        (names.header_value, "a\tb"),
        (names.ip_address, "::1"),
        (names.mount_path, "/"),
        (names.stop_signal, "SIGKILL"),
        (names.stop_signal, "SIGRTMIN+3"),
    ],
)
def test_what_kubernetes_takes_is_taken(check: Callable[[str], str], value: str) -> None:
    """A manifest from a cluster is not refused for its names."""
    assert check(value) == value
