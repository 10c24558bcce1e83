#!/usr/bin/env python3
"""Check the tags of a pull request as they will be merged: its title, its description and its commits.

Reads the event of the run, whose texts were written by strangers, and the checkout. Says what is wrong with the
messages that each allowed way to merge would put on the branch, and which tag a way would lose. In a merge queue
the commits are those that will be merged. Writes nothing.
Exit codes: 0 in order, 1 a tag that is wrong or that no way to merge would keep, 2 no such event or no repository.
"""

import json
import os
from pathlib import Path

from fleet import cli
from fleet.findings import Fault, guarded, report
from fleet.forge import pull_request as forge
from fleet.paths import ROOT
from fleet.steps import pull_request
from fleet.steps.requests import what_exists
from fleet.tags import ranges, requests
from fleet.tags.commits import inside


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    event = os.environ.get("GITHUB_EVENT_PATH")
    parser.add_argument(
        "--event", type=Path, default=event, help="the event as JSON (default: GITHUB_EVENT_PATH)"
    )
    parser.add_argument("--repo", type=Path, default=ROOT, help="the clone to read (default: this one)")
    options = parser.parse_args(argv)
    repo, vms_dir = options.repo, options.repo / "proxmox/vms"
    vms = inside(repo, vms_dir) or "proxmox/vms"
    known = what_exists(vms_dir, repo / "proxmox/k8s.ini", repo / "proxmox/playbooks", repo / "clusters")
    if options.event is None:
        raise Fault("--event is needed outside a workflow", code=2)
    try:
        given = json.loads(options.event.read_bytes())
        if group := given.get("merge_group"):
            base, head = group["base_sha"], group["head_sha"]
            queued = ranges.given_range(repo, vms, f"{base}..{head}")
            return report([*queued.findings, *requests.collect(repo, vms, queued, known)[1]])
        pull = forge.of_event(given)
    except OSError as error:
        raise Fault(f"cannot be read: {error.strerror}", options.event, code=2) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Fault("is not the event of a pull request or a merge group", options.event, code=2) from error
    return report(pull_request.check(repo, vms, pull, known))


if __name__ == "__main__":
    raise SystemExit(main())
