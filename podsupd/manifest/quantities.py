"""Kubernetes quantities: 100m, 1.5, 64Mi, 1e3, 2Gi."""

import re
from fractions import Fraction

_FORM = re.compile(r"([+-]?)([0-9]+\.?[0-9]*|\.[0-9]+)(?:([eE][+-]?[0-9]{1,3})|(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE])?)")
_POWERS = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_MAX_LENGTH = 64
_MAX = 2**63 - 1


def parse_quantity(value: object) -> Fraction:
    """Return the exact amount of a quantity, which YAML may have made a number already.

    Raises ValueError with a sentence when it is none, negative, or beyond 2^63-1.
    """
    text = str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    match = _FORM.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if match is None:
        raise ValueError("must be a quantity such as 100m, 1.5, 64Mi or 2Gi")
    sign, digits, exponent, suffix = match.groups()
    amount = Fraction(digits)
    if exponent:
        amount *= Fraction(10) ** int(exponent[1:])
    elif suffix in _BINARY:
        amount *= 1 << _BINARY[suffix]
    else:
        amount *= Fraction(10) ** _POWERS[suffix or ""]
    if sign == "-" and amount:
        raise ValueError(f"must not be negative, found {text}")
    if amount > _MAX:
        raise ValueError(f"is too large, found {text}: the most is 2^63-1")
    return amount


def milli(amount: Fraction) -> int:
    """Return thousandths, rounded up as Kubernetes does: a little is never nothing."""
    return -int(-amount * 1000 // 1)


def whole(amount: Fraction) -> int:
    """Return whole units (bytes), rounded up."""
    return -int(-amount // 1)
