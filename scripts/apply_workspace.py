#!/usr/bin/env python3
"""Bring one workspace of clusters/ to what its entries say: check the cluster, plan, guard, apply, look at the result.

Reads clusters/variables.tf, the context in Vault's kubeconfig and helm's releases in the cluster; writes Terraform's
state and the releases. Nothing is started unless the cluster answers and is the one meant, and nothing is applied that
would uninstall a release without `[destroy WORKSPACE/RELEASE]` in a commit, or that rests on a release which Terraform
could not read. Prints what each release is afterwards. Environment or `.env`: PG_CONN_STR, VAULT_ADDR, VAULT_TOKEN.
Exit codes: 0 done, 1 refused and nothing applied, 2 wrong usage, a service out of reach or Terraform failed,
3 applied but for a release that is not what it should be.
"""

from pathlib import Path

from fleet import cli, dotenv, paths
from fleet.files import read_text
from fleet.findings import Fault, guarded, report
from fleet.git import command as git
from fleet.tags import requests_file
from fleet.workspaces import apply, maps, overriding, states

EXAMPLES = """examples:
  apply_workspace.py observability --plan-only
  apply_workspace.py observability --plan-only --maps-of origin/my-branch
  apply_workspace.py observability --destroy observability/loki
  extract_ansible_tag.py --format json > requests.json; apply_workspace.py observability --requests requests.json
"""


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__, EXAMPLES)
    option = parser.add_argument
    option("workspace", metavar="WORKSPACE", help="as clusters/variables.tf has it")
    option("--plan-only", action="store_true", help="plan and guard, change nothing")
    approve = "as [destroy WORKSPACE/RELEASE] in a commit"
    maps_of = "plan with the maps of another commit: of it, only the values in its variables.tf are read"
    option("--maps-of", metavar="REVISION", help=maps_of)
    option("--destroy", metavar="WORKSPACE/RELEASE", action="append", default=[], help=approve)
    option(
        "--requests", type=Path, help="extract_ansible_tag.py's JSON; its [destroy WORKSPACE/RELEASE] approve"
    )
    option("--dir", type=Path, default=paths.CLUSTERS_DIR, help="folder of the Terraform configuration")
    wait = "wait for another run of the workspace (%(default)s s)"
    option("--lock-timeout", type=float, metavar="S", default=1800, help=wait)
    args = parser.parse_args(argv)
    dotenv.load()
    if wrong := [one for one in args.destroy if one.count("/") != 1]:
        raise Fault(f"--destroy {wrong[0]}: write WORKSPACE/RELEASE", code=2)
    if args.maps_of and not args.plan_only:
        raise Fault("--maps-of is for a look before the merge: give --plan-only too", code=2)
    if report(overriding.overriding(args.dir)):
        raise Fault("nothing was planned: Terraform would plan something else than what was checked here")
    file = args.dir / "variables.tf"
    text, name = read_text(file), paths.shown(file)
    if args.maps_of:
        # By its id: what is given is a name of a stranger's.
        commit = git.resolve(args.dir, args.maps_of)
        if not commit:
            raise Fault(f"{args.maps_of} is no commit of this clone; fetch it first", code=2)
        text, name = git.git(args.dir, "show", f"{commit}:./{file.name}"), f"{args.maps_of}:{name}"
    found = maps.read(text, name)
    directory = args.dir.resolve()  # Terraform is started there
    job = apply.Job(
        directory,
        found,
        states.of(found, args.workspace, directory),
        requests_file.releases(args.requests, args.destroy),
        args.plan_only,
        bool(args.maps_of),
    )
    return apply.run(job, args.lock_timeout)


if __name__ == "__main__":
    raise SystemExit(main())
