"""A JSON schema compiled to one function that says yes or no, and nothing of why.

Importing jsonschema takes longer than validating a thousand files, so that it is asked only about a file that
does not pass here. Knows the keywords that the schema uses and no others; a test compares the two.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]

_ANNOTATIONS = {"$schema", "$id", "$defs", "title", "description", "default", "examples", "errorMessage"}
_ANNOTATIONS |= {"x-takes-effect"}
TYPES: dict[str, Check] = {
    "string": lambda value: type(value) is str,
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) in (int, float),
    "boolean": lambda value: type(value) is bool,
    "array": lambda value: type(value) is list,
    "object": lambda value: type(value) is dict,
}


def compile_schema(part: Mapping[str, Any], root: Mapping[str, Any]) -> Check:
    """A function that says whether a value is valid. Raises KeyError for a keyword that is not known here."""
    if "$ref" in part:
        return compile_schema(root["$defs"][part["$ref"].removeprefix("#/$defs/")], root)
    checks: list[Check] = []
    if {"properties", "patternProperties", "additionalProperties"} & part.keys():
        checks.append(_object(part, root))
    checks += [
        _KEYWORDS[key](value, root)
        for key, value in part.items()
        if key not in _ANNOTATIONS and key not in ("properties", "patternProperties", "additionalProperties")
    ]
    return checks[0] if len(checks) == 1 else lambda value: all(check(value) for check in checks)


def _object(part: Mapping[str, Any], root: Mapping[str, Any]) -> Check:
    if part["additionalProperties"] is not False:
        raise KeyError("additionalProperties")
    fields = {key: compile_schema(child, root) for key, child in part.get("properties", {}).items()}
    patterns = [
        (re.compile(pattern), compile_schema(child, root))
        for pattern, child in part.get("patternProperties", {}).items()
    ]

    def check(value: Any) -> bool:
        if type(value) is not dict:
            return True
        for key, child in value.items():
            tests = [test for pattern, test in patterns if pattern.search(key)]
            if key in fields:
                tests.append(fields[key])
            if not tests or not all(test(child) for test in tests):
                return False
        return True

    return check


def _types(names: str | list[str], root: Any) -> Check:
    tests = [TYPES[name] for name in ([names] if isinstance(names, str) else names)]
    return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)


def _one_of(values: list[Any], root: Any = None) -> Check:
    known = {(type(value), value) for value in values}  # 1 is not true
    return lambda value: value.__hash__ is not None and (type(value), value) in known


def _only(kinds: tuple[type, ...], test: Check) -> Check:
    return lambda value: type(value) not in kinds or test(value)


def _all_items(part: Mapping[str, Any], root: Mapping[str, Any]) -> Check:
    test = compile_schema(part, root)
    return _only((list,), lambda value: all(map(test, value)))


def _any_of(parts: list[Mapping[str, Any]], root: Mapping[str, Any]) -> Check:
    tests = [compile_schema(part, root) for part in parts]
    return lambda value: any(test(value) for test in tests)


def _not(part: Mapping[str, Any], root: Mapping[str, Any]) -> Check:
    test = compile_schema(part, root)
    return lambda value: not test(value)


def _pattern(text: str, root: Any) -> Check:
    find = re.compile(text).search
    return _only((str,), lambda value: find(value) is not None)


_NUMBER = (int, float)
_KEYWORDS: dict[str, Callable[[Any, Any], Check]] = {
    "type": _types,
    "enum": _one_of,
    "const": lambda value, root: _one_of([value]),
    "required": lambda names, root: _only((dict,), lambda value: all(name in value for name in names)),
    "minProperties": lambda least, root: _only((dict,), lambda value: len(value) >= least),
    "minItems": lambda least, root: _only((list,), lambda value: len(value) >= least),
    "minimum": lambda least, root: _only(_NUMBER, lambda value: value >= least),
    "maximum": lambda most, root: _only(_NUMBER, lambda value: value <= most),
    "exclusiveMinimum": lambda least, root: _only(_NUMBER, lambda value: value > least),
    "maxLength": lambda most, root: _only((str,), lambda value: len(value) <= most),
    "pattern": _pattern,
    "items": _all_items,
    "anyOf": _any_of,
    "not": _not,
}
