"""Whether a repository has or had a workspace, from the history of clusters/variables.tf."""

import subprocess

import pytest

from fleet.steps.first_run import has_workspaces

ENTRY = 'observability = {\n  kubernetes_context = "k8s-dev"\n}\n'
LINE = 'variable "config" { default = { a = { url = "https://x", kubernetes_context = "k8s-dev" } } }\n'
JSON = '"prod": {"kubernetes_context" : "k8s-prod"}\n'
COMMENTED = '# observability = {\n#   kubernetes_context = "k8s-dev"\n# }\n'
TYPE = "type = map(object({\n  kubernetes_context = string\n  install_crd = optional(bool, true)\n}))\n"


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        ([], False),
        ([TYPE], False),
        ([TYPE + COMMENTED], False),
        ([ENTRY], True),
        ([LINE], True),
        ([JSON], True),
        ([TYPE, TYPE + ENTRY], True),
        ([TYPE + ENTRY, TYPE], True),  # what is gone may have left its releases
        ([TYPE + ENTRY, TYPE, TYPE + COMMENTED], True),
        ([TYPE + ENTRY, None], True),
    ],
)
def test_an_entry_is_found_in_the_history(tmp_path, texts, wanted):
    def git(*args):
        who = ("-c", "user.name=p", "-c", "user.email=p@x", "-c", "init.defaultBranch=main")
        subprocess.run(["git", "-C", str(tmp_path), *who, *args], check=True, capture_output=True)

    git("init")
    git("commit", "--allow-empty", "-m", "first")
    file = tmp_path / "clusters" / "variables.tf"
    for text in texts:
        file.parent.mkdir(exist_ok=True)
        file.unlink() if text is None else file.write_text(text)
        git("add", "--all")
        git("commit", "-m", "next")
    assert has_workspaces(tmp_path) is wanted
