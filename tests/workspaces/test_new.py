"""new_workload.py: what it writes holds to the rules, has its place in modules.tf, and overwrites nothing."""

import shutil

import pytest

import new_workload
from fleet.findings import Fault
from fleet.paths import CLUSTERS_DIR
from fleet.workloads.new import make, with_module

PATHS = {
    "main.tf",
    "outputs.tf",
    "versions.tf",
    "chart/Chart.yaml",
    "chart/templates/configmap.yaml",
}


@pytest.fixture
def clusters(tmp_path):
    folder = tmp_path / "clusters"
    folder.mkdir()
    shutil.copy(CLUSTERS_DIR / "modules.tf", folder)
    return folder


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()
    }


def test_a_second_run_and_one_after_a_cut_write_what_is_missing(clusters, capsys, monkeypatch):
    monkeypatch.setattr(new_workload, "CLUSTERS_DIR", clusters)
    before = tree(clusters)
    assert new_workload.main(["my-app", "--dry-run"]) == 0
    assert capsys.readouterr().out.count("would write ") == len(PATHS) + 1 and tree(clusters) == before
    assert new_workload.main(["my-app"]) == 0
    first = tree(clusters)
    assert set(first) == {"modules.tf", *(f"modules/my_app/{path}" for path in PATHS)}
    assert "NAME" not in "".join(first.values()) and "RELEASE" not in "".join(first.values())
    for cut in ("modules/my_app/outputs.tf", "modules.tf"):
        (clusters / cut).unlink()
        if cut in before:
            (clusters / cut).write_text(before[cut])
        capsys.readouterr()
        assert new_workload.main(["my-app"]) == 0
        assert capsys.readouterr().out.count("unchanged ") == len(PATHS)
        assert tree(clusters) == first


@pytest.mark.parametrize("path", sorted(PATHS | {"chart/templates/mine.yaml"}))
def test_what_is_there_stays(path, clusters):
    place = clusters / "modules/my_app" / path
    place.parent.mkdir(parents=True)
    place.write_text("mine\n")
    before = tree(clusters)
    with pytest.raises(Fault, match="exists and is kept, and nothing was written") as caught:
        make("my-app", clusters)
    assert path in str(caught.value) and tree(clusters) == before


def test_modules_tf_gets_a_line_and_a_module_and_keeps_the_rest(clusters):
    old = (clusters / "modules.tf").read_text()
    make("an_app_with_a_long_name", clusters)
    new = (clusters / "modules.tf").read_text()
    added = [line for line in new.splitlines() if line not in old.splitlines()]
    assert "    an_app_with_a_long_name = module.an_app_with_a_long_name[*].releases" in added
    assert "    istio                   = module.istio[*].releases" in added, "as `fmt` aligns them"
    assert new.endswith(
        '\nmodule "an_app_with_a_long_name" {\n  source = "./modules/an_app_with_a_long_name"\n'
        '  count  = contains(local.workloads, "an_app_with_a_long_name") ? 1 : 0\n}\n'
    )
    assert with_module(new, "an_app_with_a_long_name") == new


@pytest.mark.parametrize(
    "text", ["", "locals {\n  releases = merge({})\n}\n", "locals {\n  releases = {\n  }\n}\n"]
)
def test_a_modules_tf_of_another_shape_is_left_to_its_owner(text, clusters):
    (clusters / "modules.tf").write_text(text)
    with pytest.raises(Fault, match="no map `releases`"):
        make("app", clusters)
    assert tree(clusters) == {"modules.tf": text}


@pytest.mark.parametrize(
    "name",
    ["", "My", "../x", "a b", "a--b", "a-", "1a", "x" * 41, "a.b", "external-dns", "external_dns", "a\n"],
)
def test_names_that_are_refused(name, clusters):
    before = tree(clusters)
    with pytest.raises(Fault) as caught:
        make(name, clusters)
    assert caught.value.code == 2 and tree(clusters) == before
