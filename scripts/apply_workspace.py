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
from fleet.findings import Fault, guarded
from fleet.steps import workspace as steps
from fleet.steps import workspace_states as states
from fleet.tags import requests_file
from fleet.workspaces import maps

EXAMPLES = """examples:
  apply_workspace.py observability --plan-only
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
    file = args.dir / "variables.tf"
    found = maps.read(read_text(file), paths.shown(file))
    directory = args.dir.resolve()  # Terraform is started there
    job = steps.Job(
        directory,
        found,
        states.of(found, args.workspace, directory),
        requests_file.releases(args.requests, args.destroy),
        args.plan_only,
    )
    return steps.run(job, args.lock_timeout)


if __name__ == "__main__":
    raise SystemExit(main())
