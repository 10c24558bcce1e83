"""VM files against schemas/vm.schema.json: whether they are valid, and what is wrong."""

import functools
from collections.abc import Container
from typing import Any

from fleet.findings import Finding
from fleet.vms.files import VM
from fleet.vms.schema import is_required, schema


def is_valid(data: Any) -> bool:
    """Whether the schema finds nothing: yes or no, in a fraction of the time that jsonschema takes to say why."""
    # 4.0 is an integer to JSON Schema but not to Terraform, so that jsonschema, which is told so, decides.
    return _fast_validator().is_valid(data) and (not _has_float(data) or _validator().is_valid(data))


@functools.cache
def _fast_validator() -> Any:
    import jsonschema_rs

    return jsonschema_rs.validator_for(schema())


def _has_float(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_float, value.values()))
    return isinstance(value, float) or (isinstance(value, list) and any(map(_has_float, value)))


def findings(
    vm: VM, unread: Container[tuple[int, int]] = (), named: Container[tuple[int, int]] = ()
) -> list[Finding]:
    """What the schema finds wrong in one file, each named once and with the way out.

    `unread`: places whose values could not be read; `named`: places of which a rule said what is wrong.
    """
    if is_valid(vm.data):
        return []
    from fleet.vms import wording  # with difflib; most files need no words

    where = wording.where
    errors = list(_validator().iter_errors(vm.data))
    # What has the wrong type breaks other rules only because of that.
    mistyped = {where(error) for error in errors if error.validator == "type"}

    def is_told(error: Any) -> bool:
        rule, field = error.validator, where(error)
        if rule in ("required", "additionalProperties"):
            return True
        place = vm.finding(field, "")[2:4]
        if place in unread or (field in mistyped and rule != "type"):
            return False
        # A rule names what is wrong with a text better than a pattern does, but of these it sees a part only.
        worse = rule == "pattern" or (rule == "type" and "string" in error.validator_value)
        return not worse or place not in named or field in ("boot", "tags")

    return list(
        dict.fromkeys(
            finding
            for error in filter(is_told, errors)
            for finding in wording.tell(vm, error, is_required(where(error)))
        )
    )


@functools.cache
def _validator() -> Any:
    import jsonschema

    # 4.0 is an integer to JSON Schema, and no number of cores to Terraform.
    types = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: type(value) is int
    )
    return jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=types)(schema())
