"""apply_workspace.py against Terraform alone, on the same workspaces."""

import functools
import os
import shlex
import shutil
import tempfile
from pathlib import Path

import yaml

from bench import SCRIPTS, Command, Row, grown, label, medians, script
from lab import builds, setup, terraform
from tests.helpers import workspace_site

NOTE = """
`apply_workspace.py` applies that many workspaces of two releases each, one after the other, against `init`,
`workspace select`, `plan` and `apply` of Terraform alone with a kubeconfig in a file. Both have the lab's helm
provider, the same API server and local state. A first apply installs; in a second one nothing is to change.
"""
SIZES = [1, 5, 20]
GOAL = 1.1  # reading Vault, asking the cluster, reading the plan, and the guard
ALONE = """
set -e
for name in {names}; do
  export TF_DATA_DIR=$(mktemp -d)
  {terraform} init -input=false
  {terraform} workspace select -or-create "$name"
  {terraform} plan -input=false -out "$TF_DATA_DIR/plan"
  {terraform} apply -input=false "$TF_DATA_DIR/plan"
  rm -r "$TF_DATA_DIR"
done
"""
OURS = 'set -e\nfor name in {names}; do {command} "$name" --dir {folder}; done\n'


def rows(runs: int) -> list[Row]:
    setup.on_demand("helm")
    again, first = [], []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        mirror = terraform.offer(place, builds.entry("helm")).parent / "mirror"
        with workspace_site.site(place, mirror) as site:
            (place / "kubeconfig").write_text(yaml.safe_dump(site.cluster.kubeconfig(workspace_site.CONTEXT)))
            access = {"KUBE_CONFIG_PATH": str(place / "kubeconfig"), "KUBE_CTX": workspace_site.CONTEXT}
            for size in SIZES:
                names = [f"w{number}" for number in range(size)]
                site.maps(**{one: [f"{one}-a", f"{one}-b"] for one in names})
                words = {"names": " ".join(names), "folder": shlex.quote(str(site.folder))}
                alone = ALONE.format(terraform=shlex.quote(terraform.program()), **words)
                ours = OURS.format(command=shlex.join(script("apply_workspace")), **words)
                empty = functools.partial(forget, site)
                for kept, fresh in ((again, bool), (first, empty)):
                    env = dict(os.environ)
                    if fresh is empty and size > 5:
                        continue
                    peer, own = medians(
                        runs,
                        Command(["bash", "-c", alone], site.folder, fresh, env | access),
                        Command(["bash", "-c", ours], SCRIPTS, fresh, env),
                    )
                    what = "first apply" if fresh is empty else "nothing to change"
                    row = f"apply_workspace.py / Terraform alone, {what}"
                    kept.append(Row(row, label(size, "workspace"), own, peer, GOAL))
    return grown(again, SIZES) + grown(first, SIZES[: len(first)])


def forget(site: workspace_site.Site) -> None:
    """As if nothing had been applied: neither state nor releases."""
    shutil.rmtree(site.folder / "terraform.tfstate.d", ignore_errors=True)
    site.cluster.kubectl("delete", "secrets", "--all-namespaces", "--selector=owner=helm")
