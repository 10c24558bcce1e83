"""The demo of what runs on a cluster: one entry in clusters/variables.tf and a push make releases on k8s-dev."""

import json
import re

from lab import daemons, setup, user
from lab.clone import Clone
from lab.demo import creation, proof
from lab.demo.proof import K8S, need, say, served, title
from lab.forge import client

MAPS = "clusters/variables.tf"
WORKSPACE = "observability"
WORKLOADS = ("externaldns", "cert_manager", "external_secrets", "observability")
RELEASES = {"external-dns", "cert-manager", "external-secrets", "kube-prometheus-stack", "loki", "alloy"}
MARK = "refs/gitops/workspaces"


def workloads(fleet: Clone) -> None:
    """Releases from one commit, or proof that nothing changes when they are there."""
    prepare(fleet)
    text = fleet.read(MAPS)
    if has_entry(text, WORKSPACE):
        title("a second run of everything changes no release")
        before = revisions()
        served(number=client.dispatch("terraform-apply.yml"))
        need(revisions() == before, f"helm list: {len(before)} releases, each with the revision that it had")
        return prove(fleet)
    message = f"feat(clusters): {WORKSPACE} on {K8S}"
    title(f"one push with an entry in {MAPS}: {message}")
    changed = with_entry(text, WORKSPACE, WORKLOADS, K8S)
    print("\n".join(line for line in changed.splitlines() if line not in text.splitlines()))
    commit = fleet.push(message, {MAPS: changed})
    runs = served(commit)
    names = [job["name"] for run in runs for job in run["jobs"]]
    need(f"Workspace {WORKSPACE}" in names, f"a job of its own applied the workspace {WORKSPACE}")
    marked = fleet.git("ls-remote", "origin", MARK).split("\t")[0]
    fleet.pull()
    need(marked and fleet.git("merge-base", commit, marked) == commit, "the mark says that it was applied")
    prove(fleet)


def prepare(fleet: Clone) -> None:
    """The cluster, and what of the lab only workloads need."""
    setup.on_demand("helm")
    daemons.up(["charts"])
    fleet.pull()
    if K8S not in [one["name"] for one in user.kubeconfig()[0].get("contexts", ())]:
        creation.create(fleet)
    # A single server of the lab's K3s has neither a node nor controllers until somebody needs them.
    line, file = "K3S_STAND_IN_FULL=true", "/etc/default/k3s"
    if user.ssh(proof.ADDRESS[K8S], f"grep -sx {line} {file}", check=False) != line:
        say(f"{K8S} gets a node on which pods can run")
        command = f"echo {line} | sudo tee -a {file} && sudo systemctl restart k3s"
        user.ssh(proof.ADDRESS[K8S], command)
    need(not proof.not_ready(K8S, [K8S]), f"the node of {K8S} is ready")


def prove(fleet: Clone) -> None:
    """Check the result from outside, with the credentials that are read back from Vault."""
    title("checked from outside")
    print(helm("list", "--all-namespaces"))
    found = {one["name"]: one["status"] for one in releases()}
    need(found.keys() >= RELEASES, f"the cluster has {', '.join(sorted(RELEASES))}")
    need(set(found.values()) == {"deployed"}, "each release is deployed")
    deployments = user.kubectl(K8S, "get", "deployments", "--all-namespaces")
    print(deployments)
    ready = [line.split()[2].split("/") for line in deployments.splitlines()[1:]]
    need(ready and all(have == wanted for have, wanted in ready), "each deployment is rolled out")
    before = revisions()
    planned = script(fleet, "apply_workspace.py", WORKSPACE, "--plan-only")
    need("no release changes" in planned, "the plan has no changes")
    script(fleet, "apply_workspace.py", WORKSPACE)
    need(revisions() == before, "a second apply changed no release")


def script(fleet: Clone, name: str, *arguments: str) -> str:
    """What a script prints in a clone, as a person runs it there."""
    return user.inside(["python3", str(fleet.path / "scripts" / name), *arguments])


def helm(*arguments: str) -> str:
    """helm from outside the machines, with the one context of Vault's kubeconfig, which is on no disk."""
    return script(user.fleet(), "with_kubeconfig.py", K8S, "--", "helm", *arguments)


def releases() -> list[dict]:
    return json.loads(helm("list", "--all", "--all-namespaces", "--output=json"))


def revisions() -> dict[str, str]:
    return {one["name"]: one["revision"] for one in releases()}


def has_entry(text: str, workspace: str) -> bool:
    return bool(re.search(rf"^ +{workspace} += \[", text, re.M))


def with_entry(text: str, workspace: str, workloads: tuple[str, ...], context: str) -> str:
    """clusters/variables.tf with one more workspace, as a person writes it into both maps."""
    names = ",\n".join(f'      "{name}"' for name in workloads)
    lines = [f'kubernetes_context = "{context}"', "install_crd        = true", "cert_manager_crd   = true"]
    values = {
        "workload": f"[\n{names}\n    ]" if names else "[]",
        "config": "\n".join(["{", *(f"      {line}" for line in lines), "    }"]),
    }
    for variable, value in values.items():
        start = re.compile(rf'(^variable "{variable}" \{{.*?^  default = \{{)(\}})?\n?', re.M | re.S)
        entry = f"\n    {workspace} = {value}\n"
        text, count = start.subn(
            lambda found, entry=entry: f"{found[1]}{entry}{'  }' + chr(10) if found[2] else ''}",
            text,
            count=1,
        )
        assert count == 1, f"{MAPS} has no map {variable}"
    return text
