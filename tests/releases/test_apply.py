"""One workspace's apply, and the faults of helm's provider that the guard is for; test_slow_apply.py has the rest."""

import pytest


def test_install_again_update_and_remove(site, monkeypatch, capfd):
    assert site.apply(site.name, "--plan-only") == 0
    assert site.mine() == [] and "create" in capfd.readouterr().out
    assert site.apply(site.name) == 0
    assert "installed" in capfd.readouterr().out and site.mine() == ["1 deployed"] * 2
    assert site.apply(site.name) == 0
    said = capfd.readouterr()
    assert "no release changes" in said.out and " apply\n" not in said.err  # nothing is started for nothing
    assert site.mine() == ["1 deployed"] * 2
    site.settings(monkeypatch, text="second")
    assert site.apply(site.name) == 0 and site.mine() == ["1 deployed", "2 deployed"]
    word = site.without_b()
    assert site.apply(site.name) == 1 and site.mine() == ["1 deployed", "2 deployed"]
    assert f"or commit with [destroy {word}]" in capfd.readouterr().err
    assert site.apply(site.name, "--destroy", word) == 0 and site.mine() == ["1 deployed"]
    assert "uninstalled" in capfd.readouterr().out and site.state(site.name) == [f"{site.name}-a"]


def test_no_secret_is_left_anywhere(applied, capfd):
    words = [*applied.cluster.kubeconfig("x")["users"][0]["user"].values(), applied.vault.token]
    said = capfd.readouterr()
    texts = [said.out, said.err]
    texts += [path.read_text(errors="replace") for path in applied.folder.rglob("*") if path.is_file()]
    assert len(texts) > 5 and not [word for word in words for text in texts if word in text]


@pytest.mark.parametrize("kept", [True, False], ids=["wanted", "unwanted"])
def test_away_in_plan(applied, monkeypatch, capfd, kept):
    word = "x/y" if kept else applied.without_b()
    with monkeypatch.context() as patch:
        applied.cut_off(patch, "plan")
        assert applied.apply(applied.name, "--destroy", word) == 1
    assert (
        f"refused: Terraform takes {applied.name}-b for gone, but it is in the cluster"
        in capfd.readouterr().err
    )
    assert applied.mine() == ["1 deployed"] * 2 and len(applied.state(applied.name)) == 2
    assert applied.apply(applied.name, "--destroy", word) == 0
    assert applied.mine() == ["1 deployed"] * (2 if kept else 1)


def test_away_in_destroy(applied, monkeypatch, capfd):
    """The provider reports success, and Terraform forgets a release that runs."""
    word = applied.without_b()
    with monkeypatch.context() as patch:
        applied.cut_off(patch, "apply")
        assert applied.apply(applied.name, "--destroy", word) == 3
    said = capfd.readouterr().err
    name = f"{applied.name}-b"
    assert f"{name} was to be uninstalled and is still in the cluster (deployed)" in said
    assert f"`helm uninstall {name} -n {name}`" in said and applied.mine() == ["1 deployed"] * 2
