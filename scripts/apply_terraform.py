#!/usr/bin/env python3
"""Bring Proxmox to what the VM files say: init, input, plan, plan guard, apply, outputs, under one lock.

Reads the VM files, the open requests and the inventory; writes Terraform's state and the file of --outputs,
which is there after the run only when later steps should go on (exit codes 0 and 3). Secrets come from
the environment or `.env`: PROXMOX_VE_ENDPOINT, PROXMOX_VE_API_TOKEN, PG_CONN_STR, and for machines with a `cipassword`
VAULT_ADDR, VAULT_TOKEN.
Exit codes: 0 done, 1 refused and nothing applied, 2 wrong usage, a service out of reach or Terraform failed,
3 done but for a part that needs a person: a machine that could not be made or changed, a file that was
removed without approval since the requests' `since`, a member that could not leave its cluster, which its machine
must before it is destroyed, or a machine on DHCP whose address is not known.
"""

import json
from pathlib import Path

from fleet import cli, dotenv, paths
from fleet.ansible import inventory
from fleet.console import note
from fleet.files import read_text, temporary, write_atomic
from fleet.findings import guarded, report
from fleet.forge import step
from fleet.git import deleted
from fleet.hosts import leases
from fleet.members.destroying import Stays
from fleet.plans.guard import MAX_CHANGES
from fleet.preflight import bringing
from fleet.proxmox import client as proxmox
from fleet.secrets import passwords
from fleet.settings import number
from fleet.steps import provider, unfinished
from fleet.steps.apply import PARALLELISM, Job, carry_out, current, untaint, with_members
from fleet.steps.tfvars import Sources, build
from fleet.tags import requests_file
from fleet.terraform import kept, lock, plugins, renamed, state


def run(job: Job, plan_only: bool, outputs: Path | None, hosts: Path, wait: float = leases.WAIT) -> int:
    plugins.init(job.directory)
    have = current(job)
    if not plan_only:
        untaint(job, have)
    have, moves, renames = renamed.read(job.vms_dir, have, job.approved.destroy)
    # No inventory line tells of a machine that no play runs on, or whose address is not known yet.
    job = job._replace(known={*job.known, *state.finished(have)}, renamed=moves)
    job = with_members(job, have, hosts)
    keys = job.directory / paths.AUTHORIZED_KEYS.name
    sources = Sources(job.vms_dir, keys, job.tfvars)
    values, without_file, findings, made_of = build(sources, have, job.approved.destroy, job.client)
    findings, partly = [*findings, *renames], bool(job.held)
    for name, entry in without_file.items():
        if name in job.held:
            findings.append(kept.held(entry, job.held[name]))
            continue
        # Said as an error by the run that brought it, as a warning by those after it.
        fresh = deleted.is_since(job.vms_dir, entry.commit, job.approved.since)
        partly |= fresh
        findings.append(kept.unapproved(entry, "error" if fresh and values else "warning"))
    if report(findings) and not values:
        return 1
    if not plan_only:
        values, failed = bringing.brought(job.client, values, made_of)
        partly |= bool(report(failed))
        job = job._replace(secrets=passwords.of_new(values, have))
    note(f"{len(values['vms'])} machines; taken over: {', '.join(values['imports']) or 'none'}")
    with temporary("proxmox-gitops-") as folder:
        plan = folder / "plan"
        try:
            done = carry_out(job, values, plan, plan_only)
        except Stays as stays:
            return run(job._replace(held=job.held | stays.reasons), plan_only, outputs, hosts, wait)
        if plan_only:
            return int(partly or not done)
        partly |= bool(report(unfinished.forgotten(job, have, values, hosts)))
        if done:
            partly |= bool(report(provider.set_directly(job.client, values)))
        else:
            partly = True
            report(unfinished.tell(job, values, plan))
            unfinished.without_failed(job, values)
    if outputs:
        answer, findings = unfinished.told(job, values, hosts, wait)
        partly |= bool(report(findings))
        write_atomic(outputs, json.dumps(answer, indent=2) + "\n")
        step.output("applied", "true")
    note("done, except for the findings above" if partly else "done")
    return 3 if partly else 0


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    option = parser.add_argument
    option("--dir", type=Path, default=paths.PROXMOX_DIR, help="folder of the Terraform configuration")
    option("--vms-dir", type=Path, help="folder of VM files (default: vms in it)")
    option("--inventory", type=Path, help="machines that were there before (default: k8s.ini in it)")
    requests_file.add_options(parser)
    option(
        "--accept",
        metavar="DIGEST",
        default="",
        help="of many machines that may end at once, as the refusal says",
    )
    option("--outputs", type=Path, help="where to write `terraform output -json`")
    option("--plan-only", action="store_true", help="plan and guard, change nothing")
    limit = number("MAX_CHANGES", MAX_CHANGES)
    option("--max-changes", type=int, metavar="N", default=limit, help="refuse more (%(default)s)")
    option(
        "--lock-timeout", type=float, metavar="S", default=1800, help="wait for another run (%(default)s s)"
    )
    agents = "wait for a new machine's guest agent to tell its address (%(default)s s)"
    option("--address-timeout", type=float, metavar="S", default=leases.WAIT, help=agents)
    args = parser.parse_args(argv)
    dotenv.load()
    if args.outputs and not args.plan_only:
        args.outputs.unlink(missing_ok=True)
    hosts = args.inventory or args.dir / paths.INVENTORY.name
    job = Job(
        directory=args.dir,
        vms_dir=args.vms_dir or args.dir / paths.VMS_DIR.name,
        approved=requests_file.approvals(args),
        known=inventory.parse(read_text(hosts)).managed(),
        max_changes=args.max_changes,
        client=proxmox.connect(),
        parallelism=number("PARALLELISM", PARALLELISM),
        accepted=args.accept,
    )
    if args.plan_only:
        return run(job, True, None, hosts)
    with lock.held(args.dir, args.lock_timeout):
        return run(job, False, args.outputs, hosts, args.address_timeout)


if __name__ == "__main__":
    raise SystemExit(main())
