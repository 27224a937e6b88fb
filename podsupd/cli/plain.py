"""What is printed without a table: JSON and YAML for machines, complaints; needs no rich."""

import json
import sys
from enum import StrEnum
from typing import Any


class Format(StrEnum):
    """What -o takes."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def machine(document: Any, form: Format) -> None:
    """Print a document as JSON or YAML."""
    if form is Format.YAML:
        import yaml  # noqa: PLC0415  only -o yaml pays for it

        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=False)
    else:
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    sys.stdout.write(text)


def complain(message: str) -> None:
    """Print a line to stderr."""
    sys.stderr.write(f"podsupd: {message}\n")
