"""Kubernetes' rules for names, labels, ports, variables and images. Each check returns its value or raises ValueError.

The rules are those of Kubernetes' apimachinery validation (DNS-1123 labels and subdomains, qualified names, IANA
service names) and of the image reference grammar.
"""

import ipaddress
import re
import signal
from urllib.parse import urlsplit

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_SERVICE = re.compile(r"[a-z0-9](-?[a-z0-9])*")
_ENV = re.compile(r"[ -<>-~]+")
_HEADER = re.compile(r"[-A-Za-z0-9]+")
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?P<name>(?:(?P<host>[A-Za-z0-9.-]+(?::[0-9]+)?|\[[0-9a-fA-F:]+\](?::[0-9]+)?)/)?{_PATH_PART}(?:/{_PATH_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}))?"
)
_LABEL_MAX, _SUBDOMAIN_MAX, _QUALIFIED_MAX, _SERVICE_MAX = 63, 253, 63, 15
_PORT_MAX = 65535
_IMAGE_MAX = 512

RESERVED = "podsupd.io/"
"""Prefix of the labels by which podsupd knows its own: nobody else may set them."""


def dns_label(value: str) -> str:
    """Check a DNS-1123 label: container, volume and probe names."""
    if len(value) > _LABEL_MAX:
        raise ValueError(f"must have at most {_LABEL_MAX} characters, found {len(value)}")
    if not _LABEL.fullmatch(value):
        raise ValueError(
            f'must consist of lower-case letters, digits and "-", and begin and end with a letter or digit, '
            f'found "{value}"'
        )
    return value


def dns_subdomain(value: str) -> str:
    """Check a DNS-1123 subdomain: the name of a pod."""
    if len(value) > _SUBDOMAIN_MAX:
        raise ValueError(f"must have at most {_SUBDOMAIN_MAX} characters, found {len(value)}")
    if not _SUBDOMAIN.fullmatch(value):
        raise ValueError(
            f'must consist of lower-case letters, digits, "-" and ".", and begin and end with a letter or digit, '
            f'found "{value}"'
        )
    return value


def qualified_name(value: str) -> str:
    """Check the key of a label or annotation: an optional DNS prefix and a name."""
    prefix, slash, name = value.rpartition("/")
    if slash:
        try:
            dns_subdomain(prefix)
        except ValueError as error:
            raise ValueError(f"the part before the slash {error}") from None
    if len(name) > _QUALIFIED_MAX or not _QUALIFIED.fullmatch(name):
        raise ValueError(
            f'a key must have at most {_QUALIFIED_MAX} letters, digits, "-", "_" and ".", and begin and end with a '
            f'letter or digit, found "{name}"'
        )
    if value.startswith(RESERVED):
        raise ValueError(f"{RESERVED} is reserved for podsupd's own labels: choose another prefix")
    return value


def label_value(value: str) -> str:
    """Check the value of a label."""
    if value and (len(value) > _QUALIFIED_MAX or not _QUALIFIED.fullmatch(value)):
        raise ValueError(
            f'a label\'s value must have at most {_QUALIFIED_MAX} letters, digits, "-", "_" and ".", and begin '
            f'and end with a letter or digit, found "{value}": use an annotation for free text'
        )
    return value


def port_name(value: str) -> str:
    """Check an IANA service name: the name of a port."""
    if len(value) > _SERVICE_MAX or not _SERVICE.fullmatch(value) or value.isdigit():
        raise ValueError(
            f'a port\'s name must have at most {_SERVICE_MAX} lower-case letters, digits and single "-", and at least '
            f'one letter, found "{value}"'
        )
    return value


def port_number(value: int) -> int:
    """Check a port number."""
    if not 1 <= value <= _PORT_MAX:
        raise ValueError(f"must be a port from 1 to {_PORT_MAX}, found {value}")
    return value


def env_name(value: str) -> str:
    """Check the name of an environment variable: printable ASCII without the equals sign."""
    if not _ENV.fullmatch(value):
        raise ValueError(f'must be printable ASCII characters without "=", found "{value}"')
    return value


def header_name(value: str) -> str:
    """Check the name of an HTTP header."""
    if not _HEADER.fullmatch(value):
        raise ValueError(f'a header\'s name must consist of letters, digits and "-", found "{value}"')
    return value


def header_value(value: str) -> str:
    """Check the value of an HTTP header: one line."""
    if any(ord(c) < ord(" ") and c != "\t" for c in value):
        raise ValueError("a header's value must be one line without control characters")
    return value


def ip_address(value: str) -> str:
    """Check an IP address; empty is every address of the host."""
    try:
        return str(ipaddress.ip_address(value)) if value else ""
    except ValueError:
        raise ValueError(f'must be an IP address such as 127.0.0.1, found "{value}"') from None


def absolute_path(value: str) -> str:
    """Check an absolute path without steps back."""
    if not value.startswith("/"):
        raise ValueError(f'must be an absolute path, found "{value}"')
    if ".." in value.split("/"):
        raise ValueError(f'must not contain "..", found "{value}"')
    return value


def mount_path(value: str) -> str:
    """Check where a volume is mounted: an absolute path without a colon."""
    if ":" in value:
        raise ValueError(f'must not contain ":", found "{value}"')
    return absolute_path(value)


def image_reference(value: str) -> str:
    """Normalise an image's name as Kubernetes does: ``nginx`` is ``docker.io/library/nginx:latest``.

    With a digest the tag says nothing and is left out.
    """
    match = _IMAGE.fullmatch(value) if len(value) <= _IMAGE_MAX else None
    if match is None:
        way_out = ": write it in lower case" if _IMAGE.fullmatch(value.lower()) else ""
        raise ValueError(
            f'must be an image such as nginx:1.27 or registry.example/app@sha256:..., found "{value}"{way_out}'
        )
    name, tag, digest = match["name"], match["tag"], match["digest"]
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        host, path = first, rest
    else:
        host, path = "docker.io", name
    if host in ("docker.io", "index.docker.io"):
        host = "docker.io"
        path = path if "/" in path else f"library/{path}"
    return f"{host}/{path}@{digest}" if digest else f"{host}/{path}:{tag or 'latest'}"


def signal_name(value: str) -> str:
    """Check the name of a signal that a process can handle, as SIGTERM or SIGRTMIN+3."""
    base, plus, number = value.partition("+")
    if base == "SIGRTMIN" and plus and number.isdecimal() and int(number) < signal.SIGRTMAX - signal.SIGRTMIN:
        return value
    if value in {"SIGKILL", "SIGSTOP"}:
        raise ValueError(f"must be a signal that a process can handle, found {value}: SIGKILL comes at the end anyway")
    if value not in signal.Signals.__members__:
        raise ValueError(f'must be the name of a signal, as SIGTERM, found "{value}"')
    return value


def stop_signal(value: str) -> str:
    """Check a stopSignal, which may be SIGKILL; SIGRTMAX-2 is returned by its other name, SIGRTMIN+28."""
    base, minus, number = value.partition("-")
    span = signal.SIGRTMAX - signal.SIGRTMIN
    if base == "SIGRTMAX" and minus and number.isdecimal() and 0 < int(number) < span:
        return f"SIGRTMIN+{span - int(number)}"
    return value if value == "SIGKILL" else signal_name(value)


def any_signal(value: str) -> str:
    """Check the name of any signal, as SIGHUP, SIGKILL or SIGRTMIN+3; of two names the kernel's first is returned."""
    if value in signal.Signals.__members__:
        return signal.Signals[value].name
    return stop_signal(value)


def traced_signal(value: str) -> str:
    """Check the name of a signal whose sending podsupd sees."""
    name = any_signal(value)
    if name in {"SIGCHLD", "SIGURG"}:
        raise ValueError(f"must be a signal that podsupd traces, found {value}: it is sent all the time, and left out")
    return name


def http_url(value: str) -> str:
    """Check the URL of a webhook; its own text may be a secret, so no message repeats it."""
    try:
        parts = urlsplit(value)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known or any(c.isspace() or not c.isprintable() for c in value):
        raise ValueError("must be a URL as http://host:port/path or https://host/path, found something else")
    return value
