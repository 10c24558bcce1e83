"""Bad days of a workspace: real Terraform, Vault, API server and helm's provider, which forgets what it cannot read."""

import os
import re
import signal
import time

import left_workspaces
import with_kubeconfig
from fleet.findings import Fault
from fleet.releases import stored
from fleet.terraform import program
from fleet.workspaces import apply as steps
from tests.helpers import workspace_site


def test_the_api_is_away(applied, capfd):
    before = applied.state(applied.name)
    applied.cluster.switch.off()
    try:
        assert applied.apply(applied.name) == 2
    finally:
        applied.cluster.switch.on()
    said = capfd.readouterr()
    assert "plan of" not in said.err and applied.state(applied.name) == before


def test_away_in_apply(applied, monkeypatch, capfd):
    applied.settings(monkeypatch, text="second")
    with monkeypatch.context() as patch:
        applied.cut_off(patch, "apply")
        assert applied.apply(applied.name) == 3
    assert f"{applied.name}-b was not changed: see Terraform's error above" in capfd.readouterr().err
    assert applied.apply(applied.name) == 0 and applied.mine() == ["1 deployed", "2 deployed"]


def test_away_after_apply(applied, monkeypatch, capfd):
    word = applied.without_b()
    real = stored.read
    asked = []

    def read(cluster):
        asked.append(1)
        if len(asked) > 1:
            raise Fault("the API does not answer", code=2)
        return real(cluster)

    monkeypatch.setattr(stored, "read", read)
    monkeypatch.setattr(steps, "ANSWER", 1)
    assert applied.apply(applied.name, "--destroy", word) == 2
    assert f"it is not known what became of {applied.name}-b" in capfd.readouterr().err


def test_the_chart_server_is_away(site, monkeypatch, capfd):
    site.settings(monkeypatch, repository="http://127.0.0.1:9/", chart="x")
    assert site.apply(site.name) == 2 and site.mine() == []
    assert "connection refused" in capfd.readouterr().err


def test_an_upgrade_never_gets_ready(applied, monkeypatch, capfd):
    applied.settings(monkeypatch, never="yes", timeout="2")
    assert applied.apply(applied.name) == 3
    said = capfd.readouterr()
    assert f"{applied.name}-b could not be upgraded and was rolled back: Upgrade" in said.err
    assert "rolled back" in said.out and "context deadline exceeded" in said.err
    assert applied.mine() == ["1 deployed", "3 deployed"]
    assert applied.apply(applied.name) == 3, "the next run tries again"
    applied.settings(monkeypatch, text="mended")
    assert applied.apply(applied.name) == 0 and applied.mine() == ["1 deployed", "6 deployed"]


def test_a_first_installation_never_gets_ready(site, monkeypatch, capfd):
    site.settings(monkeypatch, never="yes", timeout="2")
    assert site.apply(site.name) == 3 and site.mine() == ["1 deployed"]
    assert (
        f"{site.name}-b is not in the cluster: its installation failed and was undone"
        in capfd.readouterr().err
    )
    site.settings(monkeypatch)
    assert site.apply(site.name) == 0 and site.mine() == ["1 deployed"] * 2


def killed(site, status: str, *options: str, how=signal.SIGKILL):
    """Begin, wait for the status of b, and kill all processes of the run."""
    process = site.begin(site.name, *options)
    end = time.monotonic() + 60
    while status not in site.releases().get(site.keys()[1], ""):
        assert process.poll() is None and time.monotonic() < end, site.log
        time.sleep(0.1)
    if how == signal.SIGKILL:
        os.killpg(process.pid, how)
        os.system(f"pkill -KILL -s {process.pid}")
    else:
        process.send_signal(how)
    return process.wait(60)


def clear(site, status):
    (secret,) = [
        one
        for one in site.secrets(f"owner=helm,status={status}")
        if one.metadata.namespace == site.keys()[1].partition("/")[0]
    ]
    site.cluster.kubectl("delete", "secret", secret.metadata.name, "-n", secret.metadata.namespace)


def test_killed_in_an_installation(site, monkeypatch, capfd):
    name = f"{site.name}-b"
    site.settings(monkeypatch, never="yes", timeout="600")
    killed(site, "pending-install")
    assert site.apply(site.name) == 1
    assert f"{name} in namespace {name} is pending-install since" in (said := capfd.readouterr().err)
    assert "another run is at it" in said
    site.settings(monkeypatch, timeout="1")
    time.sleep(2)
    assert site.apply(site.name) == 1
    assert f"end that with `helm uninstall {name} -n {name}` and run this again" in capfd.readouterr().err
    clear(site, "pending-install")
    assert site.apply(site.name) == 0 and site.mine() == ["1 deployed"] * 2


def test_killed_in_an_upgrade(applied, monkeypatch, capfd):
    name = f"{applied.name}-b"
    applied.settings(monkeypatch, never="yes", timeout="600")
    killed(applied, "pending-upgrade")
    applied.settings(monkeypatch, timeout="1", text="mended")
    time.sleep(2)
    assert applied.apply(applied.name) == 1
    assert f"`helm rollback {name} 1 -n {name}`" in capfd.readouterr().err
    clear(applied, "pending-upgrade")
    assert applied.apply(applied.name) == 0 and applied.mine() == ["1 deployed", "2 deployed"]


def test_killed_in_a_removal(site, monkeypatch, capfd):
    name = f"{site.name}-b"
    site.settings(monkeypatch, held="yes", timeout="9")
    assert site.apply(site.name) == 0
    word = site.without_b()
    killed(site, "uninstalling", "--destroy", word)
    site.cluster.kubectl(
        "patch", "configmap", name, "-n", name, "--type=merge", '-p={"metadata":{"finalizers":null}}'
    )
    site.maps(**{site.name: [f"{site.name}-a", name]})
    site.settings(monkeypatch, timeout="1", text="again")
    time.sleep(2)
    assert site.apply(site.name) == 1
    assert re.search(
        "is uninstalling since [0-9]+ s, longer than its timeout of 1 s", (said := capfd.readouterr().err)
    ), said
    assert f"`helm uninstall {name} -n {name}`" in said
    site.without_b()
    time.sleep(5)  # the timeout of the release that is to go is the one of its last apply
    assert site.apply(site.name, "--destroy", word) == 0 and site.mine() == ["1 deployed"]


def test_interrupted(applied, monkeypatch):
    applied.settings(monkeypatch, never="yes", timeout="4")
    assert killed(applied, "pending-upgrade", how=signal.SIGTERM) == 130
    assert applied.mine() == ["1 deployed", "3 deployed"], "helm ended what it had begun"
    applied.settings(monkeypatch)
    assert applied.apply(applied.name) == 0


def test_removed_by_hand(applied, capfd):
    space = applied.keys()[1].partition("/")[0]
    applied.cluster.kubectl("delete", "secret,configmap", "--all", "-n", space)
    assert applied.apply(applied.name) == 0 and applied.mine() == ["1 deployed"] * 2
    said = capfd.readouterr()
    assert "was removed outside of Terraform" in said.err and "installed" in said.out


def test_changed_by_hand(applied, monkeypatch, capfd):
    applied.by_hand(applied.keys()[1], text="s3cret")
    assert applied.apply(applied.name) == 0
    said = capfd.readouterr()
    assert f"{applied.name}-b: values were changed in the cluster, at text; nothing" in said.err.replace(
        f" in namespace {applied.name}-b", ""
    )
    assert "s3cret" not in said.err
    assert applied.apply(applied.name) == 0 and "values were changed" in capfd.readouterr().err, "told again"
    applied.settings(monkeypatch, text="second")
    assert applied.apply(applied.name, "--plan-only") == 0
    applied.without_b()
    assert applied.apply(applied.name) == 1
    said = capfd.readouterr().out
    assert '+ "text": "second"' in said and f'{applied.name}-b"] will be destroyed' in said
    assert "s3cret" not in said, "the log tells no value that somebody gave by hand"


def test_installed_by_hand_under_our_name(site, monkeypatch, capfd):
    """The state of the other is lost: what is left is as if a person had installed it."""
    assert site.apply(site.name) == 0
    (site.folder / f"terraform.tfstate.d/{site.name}/terraform.tfstate").unlink()
    site.by_hand(site.keys()[1], text="other")
    assert site.apply(site.name) == 1
    said = capfd.readouterr().err
    assert f"{site.name}-a was installed by a run that could not record it" in said
    assert site.mine() == ["1 deployed", "2 deployed"]
    command = re.search("To take it over, run `(.*?)`", said)[1]
    run = ["--", "sh", "-c", f"cd {site.folder.parent} && {program.name()} -chdir=clusters init && {command}"]
    assert with_kubeconfig.main([workspace_site.CONTEXT, *run]) == 0
    assert site.apply(site.name) == 0
    assert site.mine() == ["2 deployed", "3 deployed"], "what was imported is brought to what the map says"


def test_two_runs_at_once(applied, monkeypatch, capfd):
    applied.settings(monkeypatch, never="yes", timeout="3")
    process = applied.begin(applied.name)
    end = time.monotonic() + 60
    while "terraform plan" not in applied.log and "tofu plan" not in applied.log:
        assert time.monotonic() < end and process.poll() is None, applied.log
        time.sleep(0.05)
    applied.settings(monkeypatch)
    assert applied.apply(applied.name) == 0
    assert "the lock is held by another run" in capfd.readouterr().err
    assert process.wait(30) == 3


def test_two_workspaces_want_the_same_release(applied, capfd):
    names = [f"{applied.name}-a", f"{applied.name}-b"]
    applied.maps(**{applied.name: names, "renamed": names})
    assert applied.apply("renamed") == 1
    assert (
        f"{names[1]} in namespace {names[1]} is in the state of workspace {applied.name}"
        in capfd.readouterr().err
    )
    applied.maps(renamed=names)
    assert applied.apply("renamed") == 1, "one that left the maps owns it as well"


def test_a_workspace_left_the_maps(applied, capfd):
    name = applied.name
    applied.maps(other=["x"])
    assert applied.apply(name) == 1
    said = capfd.readouterr().err
    assert f"{name} left the maps while its state has {name}-a, {name}-b" in said
    assert f"commit with [destroy {name}/{name}-a] [destroy {name}/{name}-b]" in said
    assert left_workspaces.main(["--dir", str(applied.folder)]) == 1
    assert f"workspace delete -force {name}`" in capfd.readouterr().err
    assert applied.apply("othre") == 2 and "did you mean other?" in capfd.readouterr().err
    applied.maps(**{name: []})
    assert applied.apply(name, "--destroy", f"{name}/{name}-a", "--destroy", f"{name}/{name}-b") == 0
    assert applied.mine() == [] and applied.state(name) == []


def test_the_cluster_is_gone(applied, capfd):
    applied.give(applied.cluster.kubeconfig("k8s-other"))
    try:
        assert applied.apply(applied.name) == 1
    finally:
        applied.give(applied.cluster.kubeconfig(workspace_site.CONTEXT))
    said = capfd.readouterr().err
    assert f"the state of {applied.name} has {applied.name}-a, {applied.name}-b on it" in said
    assert f"workspace delete -force {applied.name}`; if not, put k8s-dev back into Vault" in said


def test_the_workspace_goes_to_another_cluster(site, monkeypatch, capfd):
    """Here the other context is of the same cluster: what has our names there would be taken for ours."""
    names = [f"{site.name}-a", f"{site.name}-b"]
    site.give(*(site.cluster.kubeconfig(context) for context in (workspace_site.CONTEXT, "k8s-other")))
    site.settings(monkeypatch, never="yes", timeout="2")
    assert site.apply(site.name) == 3 and site.mine() == ["1 deployed"]
    site.settings(monkeypatch, text="second")
    try:
        site.maps("k8s-other", **{site.name: names})
        assert site.apply(site.name) == 1 and site.mine() == ["1 deployed"]
        said = capfd.readouterr().err
        assert (
            f"{site.name} has {site.name}-a on {workspace_site.CONTEXT}, and its context is now k8s-other"
            in said
        )
        site.maps(**{site.name: []})
        assert site.apply(site.name, "--destroy", f"{site.name}/{site.name}-a") == 0 and site.mine() == []
        site.maps("k8s-other", **{site.name: names})
        assert site.apply(site.name) == 0 and site.mine() == ["1 deployed"] * 2
    finally:
        site.give(site.cluster.kubeconfig(workspace_site.CONTEXT))


def test_options_in_the_environment(applied, monkeypatch, capfd):
    monkeypatch.setenv("HELM_DRIVER", "configmap")
    monkeypatch.setenv("TF_CLI_ARGS_plan", "-refresh=false")
    assert applied.apply(applied.name) == 0 and applied.mine() == ["1 deployed"] * 2
    monkeypatch.setenv("KUBE_HOST", "https://127.0.0.1:9")
    assert applied.apply(applied.name) == 2
    assert "KUBE_HOST would lead the command to another cluster" in capfd.readouterr().err
