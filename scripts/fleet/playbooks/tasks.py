"""The tasks of a playbook and of its roles: modules by their full names, and roles that exist."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from fleet.findings import Finding
from fleet.playbooks import reading
from fleet.playbooks.reading import Document, quoted

SECTIONS = ("pre_tasks", "tasks", "post_tasks", "handlers")
BLOCKS = ("block", "rescue", "always")
# What a task may say besides its module; `with_…` too.
KEYWORDS = {
    "any_errors_fatal", "args", "async", "become", "become_exe", "become_flags", "become_method", "become_user",
    "changed_when", "check_mode", "collections", "connection", "debugger", "delay", "delegate_facts",
    "delegate_to", "diff", "environment", "failed_when", "ignore_errors", "ignore_unreachable", "listen",
    "loop", "loop_control", "module_defaults", "name", "no_log", "notify", "poll", "port", "register",
    "remote_user", "retries", "run_once", "tags", "throttle", "timeout", "until", "vars", "when", "block",
    "rescue", "always",
}  # fmt: skip
OLD = ("action", "local_action")
ROLE_TASKS = ("import_role", "include_role")


def check(file: Path) -> list[Finding]:
    """What is wrong with the tasks of a playbook, and with those of each role of this repository that it names.

    A role is looked for where Ansible is told to: in `roles` beside the playbook.
    """
    document, _ = reading.read(file)
    roles = file.parent / "roles"
    own = _own_modules(roles)
    findings: list[Finding] = []
    seen: set[str] = set()
    for play in document.items if document else ():
        tasks = [task for section in reading.values(play, *SECTIONS) for task in reading.entries(section)]
        findings += _tasks(document, tasks, own)
        for node in [*_listed(play), *_brought(tasks)]:
            name = reading.text_of(node) or ""
            if "{{" in name or name.count(".") > 1 or name in seen:
                continue
            seen.add(name)
            if not name or not (roles / name).is_dir():
                known = (
                    ", ".join(sorted(path.name for path in roles.glob("[!.]*/") if path.is_dir())) or "none"
                )
                findings.append(
                    document.finding(node, f"role {quoted(name)} does not exist; there are: {known}")
                )
                continue
            findings += _role(roles / name, own)
    return findings


def _role(role: Path, own: set[str]) -> Iterator[Finding]:
    for file in sorted([*role.glob("tasks/*.yml"), *role.glob("handlers/*.yml")]):
        document, found = reading.read(file)
        yield from found
        if document:
            yield from _tasks(document, document.items, own)


def _own_modules(roles: Path) -> set[str]:
    """Modules of this repository, which have no longer name."""
    places = [
        *roles.glob("*/action_plugins/*.py"),
        *roles.glob("*/library/*.py"),
        *roles.parent.glob("library/*.py"),
    ]
    return {path.stem for path in [*places, *roles.parent.parent.glob("library/*.py")]}


def _flat(tasks: list[yaml.Node]) -> Iterator[yaml.MappingNode]:
    for task in tasks:
        if isinstance(task, yaml.MappingNode):
            yield task
            for inner in reading.values(task, *BLOCKS):
                yield from _flat(reading.entries(inner))


def _tasks(document: Document, tasks: list[yaml.Node], own: set[str]) -> Iterator[Finding]:
    for task in _flat(tasks):
        for key, _ in reading.pairs(task):
            name = str(key.value)
            if name in OLD:
                message = (
                    f"{name}: write the module's full name as a key of the task, such as ansible.builtin.copy"
                )
                yield document.finding(key, message)
            elif (
                "." not in name and name not in KEYWORDS and name not in own and not name.startswith("with_")
            ):
                message = (
                    f"{name}: is not a full name, so it depends on the configuration which module it is; write"
                    f" COLLECTION.{name}, such as ansible.builtin.{name}"
                )
                yield document.finding(key, message)


def _listed(play: yaml.Node) -> Iterator[yaml.Node]:
    """The names under `roles` of a play."""
    for section in reading.values(play, "roles"):
        for entry in reading.entries(section):
            named = reading.values(entry, "role", "name")
            yield from named[:1] if isinstance(entry, yaml.MappingNode) else [entry]


def _brought(tasks: list[yaml.Node]) -> Iterator[yaml.Node]:
    """The names of roles that tasks bring in."""
    for task in _flat(tasks):
        for short in ROLE_TASKS:
            for arguments in reading.values(task, f"ansible.builtin.{short}"):
                yield from reading.values(arguments, "name")
