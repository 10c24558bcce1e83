"""Values of a plan as a person reads them."""

from collections.abc import Mapping
from typing import Any

from fleet.findings import printable
from fleet.terraform.state import ipconfig

_SECRET = ("password", "cipassword")
_LONGEST = 60  # characters of a value that are shown


def shown(field: str, value: Any) -> str:
    """A value as a person reads it, on one line; a secret is not shown."""
    if field.endswith(_SECRET):
        return "(secret)"
    text = printable(_text(value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if is_empty(value):
        return "none"
    if isinstance(value, Mapping) and {"ipv4", "ipv6"} & value.keys():
        return ipconfig(value)
    if isinstance(value, Mapping):
        return ",".join(f"{key}={_text(one)}" for key, one in value.items() if not is_empty(one))
    if isinstance(value, list | tuple):
        return " ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def is_empty(value: Any) -> bool:
    """What the provider writes for nothing differs from one attribute to the next."""
    if isinstance(value, list | dict):
        return all(is_empty(one) for one in (value.values() if isinstance(value, dict) else value))
    return value in (None, "", 0, False)
