"""changed_workspaces.py on real repositories: each row is a commit, and what it changes."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import changed_workspaces

CASES = Path(__file__).parents[1] / "cases" / "clusters"
MAPS = "clusters/variables.tf"
ALL = ["dev", "home", "logs", "talos"]


class Clone:
    """A repository with one commit, the valid case."""

    def __init__(self, home: Path):
        self.home = home
        home.mkdir()
        self.git("init", "-q", "-b", "main")
        self.write("README.md", "x\n")
        self.commit("nothing yet")
        shutil.copytree(CASES / "root", home / "clusters")
        shutil.copy(CASES / "valid.tf", home / MAPS)
        self.write("clusters/providers.tf", 'provider "helm" {}\n')
        self.commit("clusters")

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        command = ["git", "-C", str(self.home), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, message: str = "x") -> str:
        self.git("add", "-A")
        self.git("commit", "-qm", message, "--allow-empty")
        return self.git("rev-parse", "HEAD")

    def write(self, name: str, text: str) -> None:
        (self.home / name).parent.mkdir(parents=True, exist_ok=True)
        (self.home / name).write_text(text)

    def edit(self, *pairs: tuple[str, str], file: str = MAPS) -> None:
        text = (self.home / file).read_text()
        for old, new in pairs:
            assert re.search(old, text), old
            text = re.sub(old, new, text, count=1)
        self.write(file, text)


@pytest.fixture
def clone(tmp_path):
    return Clone(tmp_path / "clone")


def run(clone: Clone, *arguments: str) -> int:
    return changed_workspaces.main(["--repo", str(clone.home), *arguments])


def listed(clone: Clone, capsys, *arguments: str) -> dict[str, str]:
    assert run(clone, *arguments) == 0
    matrix = json.loads(capsys.readouterr().out)
    assert matrix == sorted(matrix, key=lambda each: each["workspace"])
    return {each["workspace"]: each["reason"] for each in matrix}


EDITS = {
    "nothing": ([], {}),
    "a remark and the layout": ([(r"# a workspace.*", "// other"), (r"dev  = \[", "dev = [\n      ")], {}),
    "another spelling": ([('"external-dns"', '"External_DNS"')], {}),
    "a workload more": (
        [(r'\["Observability", \]', '["observability", "externaldns"]')],
        {"logs": "+externaldns"},
    ),
    "one less": ([('"external-dns", "cert_manager"', '"cert_manager"')], {"dev": "-externaldns"}),
    "a setting": (
        [(r"install_crd        = true", "install_crd = false"), ("k8s-home", "k8s-dev")],
        {"dev": "install_crd", "home": "kubernetes_context"},
    ),
    "a deeper setting": ([(r'domains = \["example.org"\]', "")], {"dev": "dns"}),
    "a chart's version": ([("18.11.0", "18.12.0")], {"logs": "loki 18.11.0 to 18.12.0"}),
    "a chart of two workspaces": (
        [("1.22.0", "1.23.0")],
        dict.fromkeys(("dev", "talos"), "external_dns 1.22.0 to 1.23.0"),
    ),
    "a chart's source": (
        [("oci://charts.example.org/x", "oci://elsewhere")],
        {"dev": "cert_manager from elsewhere"},
    ),
    "a new workspace": (
        [
            ("home : ", 'new = ["unused"]\n    home : '),
            (r"home  = ", 'new = { kubernetes_context = "x" }\n    home = '),
        ],
        {"new": "new"},
    ),
    "a type": ([(r"optional\(bool, true\)", "optional(bool, false)")], dict.fromkeys(ALL, MAPS)),
    "a blank in a text": ([("an example", "an  example ")], dict.fromkeys(ALL, MAPS)),
    "another variable": (
        [(r"\Z", 'variable "chart_mirror" {\n  default = "oci://x"\n}\n')],
        dict.fromkeys(ALL, MAPS),
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_changed_map(name, clone, capsys):
    edits, wanted = EDITS[name]
    clone.edit(*edits)
    clone.commit()
    assert listed(clone, capsys, "--base", "HEAD~1") == wanted


@pytest.mark.parametrize(
    ("file", "text", "wanted"),
    [
        ("clusters/modules/observability/main.tf", "# x\n", {"logs": "modules/observability"}),
        (
            "clusters/modules/externaldns/chart/templates/a b.yaml",
            "x",
            dict.fromkeys(["dev", "talos"], "modules/externaldns"),
        ),
        ("clusters/modules/unused/main.tf", "# x\n", dict.fromkeys(ALL, "clusters/modules/unused/main.tf")),
        ("clusters/modules/new/main.tf", "# x\n", dict.fromkeys(ALL, "clusters/modules/new/main.tf")),
        ("clusters/providers.tf", "# x\n", dict.fromkeys(ALL, "clusters/providers.tf")),
        ("clusters/.terraform.lock.hcl", "# x\n", dict.fromkeys(ALL, "clusters/.terraform.lock.hcl")),
        ("clusters/dashboards/é.json", "{}", dict.fromkeys(ALL, "clusters/dashboards/é.json")),
        ("clusters/tests/x.tftest.hcl", "# x\n", {}),
        ("clusters/README.md", "# x\n", {}),
        ("proxmox/x.tf", "# x\n", {}),
    ],
)
def test_a_changed_file(file, text, wanted, clone, capsys):
    clone.write(file, text)
    clone.commit()
    assert listed(clone, capsys, "--base", "HEAD~1") == wanted
    (clone.home / file).unlink()
    clone.git("checkout", "-q", "HEAD~1", "--", "clusters")
    clone.commit()
    assert listed(clone, capsys, "--base", "HEAD~1", "--head", "HEAD") == wanted


def test_a_module_that_is_given_all_charts_uses_each(clone, capsys):
    clone.edit((r"local\.charts\.external_dns", "local.charts"), file="clusters/modules.tf")
    base = clone.commit()
    clone.edit(("18.11.0", "18.12.0"))
    clone.commit()
    assert sorted(listed(clone, capsys, "--base", base)) == ["dev", "logs", "talos"]


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        ("0" * 40, f"the base {'0' * 40} is not in this clone"),
        ("nowhere", "the base nowhere is not in this clone"),
        ("HEAD~1", "clusters/ is new"),
        ("HEAD", None),
    ],
)
def test_bases(base, reason, clone, capsys):
    assert run(clone, "--base", base, "--format", "text") == 0
    out, err = capsys.readouterr()
    assert out == (
        ""
        if reason is None
        else "".join(
            f"{name} on {context}: {reason}\n"
            for name, context in zip(ALL, ("k8s-dev", "k8s-home", "k8s-dev", "talos-lab"), strict=True)
        )
    )
    assert err == ("" if reason is None else f"notice: all workspaces: {reason}\n")


def test_a_base_that_cannot_be_read_means_all_and_such_a_head_is_refused(clone, capsys):
    shutil.copy(CASES / "twice.tf", clone.home / MAPS)
    clone.commit()
    assert run(clone, "--base", "HEAD~1") == 1
    assert "clusters/variables.tf:5: dev is there twice" in capsys.readouterr().err
    shutil.copy(CASES / "valid.tf", clone.home / MAPS)
    clone.commit()
    assert list(listed(clone, capsys, "--base", "HEAD~1")) == ALL
    assert run(clone, "--base", "HEAD", "--head", "nowhere") == 2
    assert "nowhere is not a commit" in capsys.readouterr().err


def test_a_removed_workspace_is_reported_and_not_in_the_matrix(clone, capsys):
    clone.edit((r"    home : \[\]\n", ""), (r"    home  = .*\n", ""))
    clone.commit()
    assert run(clone, "--base", "HEAD~1") == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == []
    assert "warning: workspace home left the maps" in err
    shutil.rmtree(clone.home / "clusters")
    clone.commit()
    assert run(clone, "--base", "HEAD~1") == 0
    assert capsys.readouterr().err.count("left the maps") == 3


def test_a_workspace_that_goes_to_another_cluster_is_reported(clone, capsys):
    clone.edit(("k8s-home", "k8s-prod"))
    clone.commit()
    assert run(clone, "--base", "HEAD~1", "--format", "text") == 0
    out, err = capsys.readouterr()
    assert out == "home on k8s-prod: kubernetes_context\n"
    assert "warning: workspace home goes from k8s-home to k8s-prod; that is refused" in err


def test_without_clusters_nothing_is_listed(clone, capsys):
    assert listed(clone, capsys, "--base", "HEAD", "--head", "HEAD~1") == {}
    assert listed(clone, capsys, "--all", "--head", "HEAD~1") == {}
    assert listed(clone, capsys, "--all") == dict.fromkeys(ALL, "asked for")


def test_the_outputs_of_the_step(clone, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    run(clone, "--base", "HEAD")
    run(clone, "--all")
    none, matrix = (tmp_path / "output").read_text().splitlines()
    assert none == "none=true"
    assert [each["workspace"] for each in json.loads(matrix.removeprefix("matrix="))] == ALL


def test_the_checkout_does_not_count(clone, capsys):
    clone.edit(("18.11.0", "18.12.0"))
    assert listed(clone, capsys, "--base", "HEAD") == {}
