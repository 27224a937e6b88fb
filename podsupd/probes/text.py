"""What servers, commands and the kernel say, made fit to be shown."""

import os
import ssl

MESSAGE_LIMIT = 1024  # characters, as Kubernetes limits an event's message


def clean(raw: bytes | str, limit: int = MESSAGE_LIMIT) -> str:
    """Return text without control characters (a terminal would obey them), trimmed and cut to ``limit`` characters."""
    text = raw.decode(errors="replace") if isinstance(raw, bytes) else raw
    shown = "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text.strip())
    return shown if len(shown) <= limit else shown[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"


def reason(error: OSError) -> str:
    """Return an OSError's cause in words, in lower case as the second half of a sentence: connection refused."""
    if isinstance(error, ssl.SSLError):
        # Its errno is a code of OpenSSL's.
        words = (error.reason or "").replace("_", " "), str(getattr(error, "verify_message", ""))
        return clean(": ".join(filter(None, words)) or str(error)).lower()
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return clean(error.strerror or str(error)).lower() or type(error).__name__


def seconds(value: float) -> str:
    """Return a duration as it stands in a manifest: 1 s, 0.5 s."""
    return f"{value:g} s"
