"""Property strings (`local:1,size=2G`) against a format, as PVE::JSONSchema checks and reads them.

A format is a table of `Prop` by key. What is read is text by key; booleans are "1" and "0". Unknown keys, wrong
values and missing ones are refused in Proxmox's words.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

UNKNOWN = "property is not defined in schema and the schema does not allow additional properties"
TRUE, FALSE = {"1", "on", "yes", "true"}, {"0", "off", "no", "false"}


class Prop(NamedTuple):
    """One key of a property string, or one option of a machine."""

    kind: str = "string"  # or integer, number, boolean
    enum: tuple[str, ...] = ()
    pattern: str = ""
    minimum: float | None = None
    maximum: float | None = None
    check: Callable[[str], None] | None = None  # a named format: ValueError in Proxmox's words
    required: bool = False
    default: bool = False  # the key that may be left out
    alias: str = ""  # another key's name, or with `names` the key that takes its value
    names: str = ""  # the key that this key itself is a value of: a network card's model
    needs: str = ""  # another key that has to be there
    size: bool = False


Format = dict[str, Prop]


class Unfit(ValueError):
    """What is wrong with a value, in the words of PVE::JSONSchema."""


def boolean(value) -> int | None:
    text = str(int(value) if isinstance(value, bool) else value).lower()
    return 1 if text in TRUE else 0 if text in FALSE else None


def problem(prop: Prop, value: str) -> str | None:
    """What is wrong with a value; None if nothing is."""
    forms = {"boolean": r"[01]", "integer": r"[+-]?\d+", "number": r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"}
    if prop.kind in forms and not re.fullmatch(forms[prop.kind], value):
        return f"type check ('{prop.kind}') failed - got '{value}'"
    if prop.check:
        try:
            prop.check(value)
        except ValueError as error:
            return f"invalid format - {error}\n"
    if prop.pattern and not re.fullmatch(prop.pattern, value):
        return "value does not match the regex pattern"
    if prop.kind in ("integer", "number"):
        if prop.maximum is not None and float(value) > prop.maximum:
            return f"value must have a maximum value of {prop.maximum}"
        if prop.minimum is not None and float(value) < prop.minimum:
            return f"value must have a minimum value of {prop.minimum}"
    if prop.kind == "string" and prop.maximum is not None and len(value) > prop.maximum:
        return f"value may only be {prop.maximum} characters long"
    if prop.enum and value not in prop.enum:
        return f"value '{value}' does not have a value in the enumeration '{', '.join(prop.enum)}'"
    return None


def misfits(form: Format, values: dict) -> dict[str, str]:
    """What is wrong with a request's parameters, by name: those it does not have, lacks, or refuses."""
    wrong = dict.fromkeys(values.keys() - form.keys(), UNKNOWN)
    for key, prop in form.items():
        if key not in values:
            wrong |= {key: "property is missing and it is not optional"} if prop.required else {}
            continue
        known = boolean(values[key]) if prop.kind == "boolean" else None
        if error := problem(prop, str(values[key] if known is None else known)):
            wrong[key] = error
        if prop.needs and prop.needs not in values:
            wrong[prop.needs] = f"missing property required by '{key}'"
    return wrong


def parse(form: Format, text: str, path: str) -> dict[str, str]:
    """A property string of the option `path`, its values by key. Unfit when it does not fit the format."""
    found = _split(form, text)
    wrong = {key: problem(prop, found[key]) for key, prop in form.items() if key in found}
    for key, prop in form.items():
        if prop.required and key not in found:
            wrong[key] = "property is missing and it is not optional"
        if key in found and prop.needs and prop.needs not in found:
            wrong[prop.needs] = f"missing property required by '{path}.{key}'"
    if lines := [f"{path}.{key}: {error}" for key, error in wrong.items() if error]:
        raise Unfit("format error\n" + "\n".join(lines))
    return found


def _split(form: Format, text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in str(text).split(","):
        if not part.strip():
            continue
        key, separator, value = part.partition("=")
        if separator and not (key and value):
            raise Unfit("missing key in comma-separated list property")
        if not separator:
            value, key = key, next((key for key, prop in form.items() if prop.default), "")
            if not key:
                raise Unfit("value without key, but schema does not define a default key")
        if key in found:
            raise Unfit(f"duplicate key in comma-separated list property: {key}")
        prop = form.get(key)
        if prop and prop.names:
            found[prop.names] = key
        if prop and prop.alias:
            key = prop.alias
            prop = form[key]
            if key in found:
                raise Unfit(f"key '{key}' is already defined (via alias)")
        if not prop:
            raise Unfit(f"invalid key in comma-separated list property: {key}")
        found[key] = str(known) if prop.kind == "boolean" and (known := boolean(value)) is not None else value
    return found
