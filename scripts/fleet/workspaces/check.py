"""What is wrong with clusters/ as a checkout has it, found without Terraform."""

import difflib
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from fleet import names
from fleet.files import read_text
from fleet.findings import Fault, Finding, cut, listed
from fleet.paths import shown
from fleet.workspaces import maps
from fleet.workspaces.modules import Module, modules
from fleet.workspaces.overriding import overriding

NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")
VERSION = re.compile(r"v?[0-9]+[.][0-9]+[.][0-9]+([-+][0-9A-Za-z.+-]+)?")


def check(clusters: Path, vms_dir: Path) -> tuple[int, list[Finding]]:
    """How many workspaces there are, and all that is wrong, by file and line."""
    path = clusters / maps.FILE
    file = shown(path)
    findings = list(overriding(clusters))
    try:
        found = maps.variables(_text(path), file)
        lines = modules(sources(clusters))
    except Fault as fault:
        return 0, [*findings, fault.finding]
    findings += maps.problems(found, file)
    findings += _workspaces(found, file, clusters, lines)
    findings += _contexts(found, file, vms_dir)
    findings += _charts(found["charts"], file, lines)
    return len(found["workload"].value), sorted(findings, key=lambda one: (one.path, one.line))


def sources(clusters: Path) -> dict[str, str]:
    """The text of each file of the root module, by its path as messages show it."""
    return {shown(path): read_text(path) for path in sorted(clusters.glob("*.tf"))}


def _text(path: Path) -> str:
    if not path.is_file():
        raise Fault("is missing; it says what runs on which cluster", shown(path))
    return read_text(path)


def _workspaces(
    found: dict[str, maps.Variable], file: str, clusters: Path, lines: dict[str, Module]
) -> Iterator[Finding]:
    workload = found["workload"]
    folders = sorted(path.parent.name for path in (clusters / "modules").glob("*/main.tf"))
    for name, asked in workload.value.items():
        if name == "default":
            message = (
                "is Terraform's own workspace, which every command without a choice uses; choose another name"
            )
            yield maps.at(workload, file, (name,), message, "workload")
        elif not NAME.fullmatch(name):
            message = (
                "is no name of a workspace: small letters, digits, - and _, at most 63, - and _ only inside"
            )
            yield maps.at(workload, file, (name,), message, "workload")
        seen: dict[str, int] = {}
        for number, written in enumerate(asked if isinstance(asked, list) else ()):
            if not isinstance(written, str):
                continue
            place, folder = (name, number), maps.normalised(written)
            if folder not in folders:
                yield maps.at(workload, file, place, _unknown(written, folder, folders), "workload")
            elif folder not in lines:
                message = f"modules.tf has no module with the source ./modules/{folder}, so it would not run"
                yield maps.at(workload, file, place, message, "workload")
            if folder in seen:
                message = f"{cut(written)} is there twice, in line {seen[folder]} too; remove one"
                yield maps.at(workload, file, place, message, "workload")
            seen.setdefault(folder, workload.lines[place])


def _unknown(written: str, folder: str, folders: list[str]) -> str:
    near = difflib.get_close_matches(folder[:40], folders, 1, 0.6)
    way_out = f"did you mean {near[0]}?" if near else f"there are {listed(folders)}"
    return f"{cut(written)} is not a workload; {way_out}"


def _contexts(found: dict[str, maps.Variable], file: str, vms_dir: Path) -> Iterator[Finding]:
    """Contexts that are no cluster's, and clusters on which two workspaces ask for the same."""
    config, workload = found["config"], found["workload"]
    clusters = {names.cluster_of(path.stem) for path in vms_dir.glob("*.yaml")} - {None}
    owners: dict[tuple[str, str], str] = {}
    for name, entry in config.value.items():
        context = entry.get("kubernetes_context") if isinstance(entry, dict) else None
        if not isinstance(context, str):
            continue
        place = (name, "kubernetes_context")
        if context not in clusters:
            yield maps.at(config, file, place, _no_cluster(context, clusters, vms_dir), "config")
        asked = workload.value.get(name)
        for folder in {maps.normalised(one) for one in asked or () if isinstance(one, str)}:
            other = owners.setdefault((context, folder), name)
            if other != name:
                line = config.lines[(other, "kubernetes_context")]
                message = (
                    f"{other} (line {line}) runs {folder} on {context} already; remove it from one of the two"
                )
                yield maps.at(config, file, place, message, "config")


def _no_cluster(context: str, clusters: Collection[str], vms_dir: Path) -> str:
    folder = shown(vms_dir)
    if (cluster := names.cluster_of(context)) in clusters:
        return f"{cut(context)} is a machine of the cluster {cluster}, whose context is {cluster}"
    near = difflib.get_close_matches(context[:60], sorted(clusters), 1)
    way_out = f"did you mean {near[0]}?" if near else f"there are {listed(sorted(clusters))}"
    return f"{cut(context)} is not a cluster of {folder}; {way_out}"


def _charts(charts: maps.Variable, file: str, lines: dict[str, Module]) -> Iterator[Finding]:
    for name, chart in charts.value.items():
        version, repository = (
            (chart.get(key) for key in ("version", "repository")) if isinstance(chart, dict) else (None, None)
        )
        if isinstance(version, str) and not VERSION.fullmatch(version):
            message = f"{cut(version) or '(empty)'} is not an exact version, as 1.22.0 is"
            yield maps.at(charts, file, (name, "version"), message, "charts")
        if isinstance(repository, str) and not re.match(r"(https?|oci)://[^/]", repository):
            message = f"{cut(repository) or '(empty)'} does not begin with https:// or oci://"
            yield maps.at(charts, file, (name, "repository"), message, "charts")
    for module in lines.values():
        for name in sorted((module.charts or set()) - charts.value.keys()):
            message = f"{name} is missing, which modules/{module.folder} installs"
            yield maps.at(charts, file, (), message, "charts")
