"""The script that writes the lock: many images at once, some of which fail."""

import re
import runpy
import sys

import pytest

from fleet.images import lock
from fleet.paths import ROOT

NAME = "debian-12-generic-amd64.qcow2"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the script as a person does: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROXMOX_IMAGES", str(tmp_path / "images.yml"))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)

    def run(*argv):
        monkeypatch.setattr(sys, "argv", ["update_images.py", *argv])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / "scripts" / "update_images.py"), run_name="__main__")
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def publish(site):
    """A new build of an image, dated and at its moving address; its sum's first digits."""

    def publish(name, folder, content):
        site.publish(f"/{name}/{folder}/", NAME, content=content)
        site.files.pop(f"/{name}/latest/SHA512SUMS", None)
        return site.publish(f"/{name}/latest/", NAME, content=content)[:8]

    return publish


@pytest.fixture
def catalogue(site, tmp_path):
    text = "".join(
        f"{name}:\n  url: {site.url}/{name}/latest/{NAME}\n  checksums: {site.url}/{name}/latest/SHA512SUMS\n"
        f"  builds: {site.url}/{name}/\n  user: debian\n"
        for name in ("a", "b", "old")
    )
    file = tmp_path / "images.yml"
    file.write_text(f'{text}  ended: "2026-08-31"\n')
    return file


def lines(text):
    return [re.sub(" {2,}", " | ", line) for line in text.splitlines()]


def test_old_and_new_builds_are_shown_and_locked(run, publish, catalogue, site):
    first = [publish(name, "20261101", name) for name in ("a", "b", "old")]
    code, out, err = run()
    assert (code, err) == (0, "")
    assert lines(out) == [
        "image | locked | newest",
        f"a | - | 2026-11-01 {first[0]}",
        f"b | - | 2026-11-01 {first[1]}",
        f"old | - | 2026-11-01 {first[2]} | its makers stopped updating it on 2026-08-31",
        "images.lock.yml: written",
    ]
    written = lock.path(catalogue).read_bytes()
    second = publish("b", "20261102", "new")
    code, out, _ = run("--check")
    assert (code, lines(out)) == (1, [
        "image | locked | newest",
        f"a | 2026-11-01 {first[0]} | unchanged",
        f"b | 2026-11-01 {first[1]} | 2026-11-02 {second}",
        f"old | 2026-11-01 {first[2]} | unchanged | its makers stopped updating it on 2026-08-31",
    ])  # fmt: skip
    assert lock.path(catalogue).read_bytes() == written
    assert run("a")[:2] == (0, f"image  locked               newest\na      2026-11-01 {first[0]}  unchanged\n"
                               "images.lock.yml: unchanged\n")  # fmt: skip
    assert run()[0] == 0
    assert lock.read()["b"].date == "2026-11-02"
    assert run("--check")[0] == 0


def test_one_that_fails_keeps_its_build_and_the_others_go_on(run, publish, catalogue, site):
    for name in ("a", "b", "old"):
        publish(name, "20261101", name)
    run()
    publish("b", "20261102", "new")
    site.faults["/a/latest/SHA512SUMS"] = 404
    code, out, err = run()
    assert code == 1 and "not found" in lines(out)[1]
    assert err == f"images.yml:1: a: {site.url}/a/latest/SHA512SUMS answers 404 Not Found\n"
    assert {name: build.date for name, build in lock.read().items()} == {
        "a": "2026-11-01", "b": "2026-11-02", "old": "2026-11-01",
    }  # fmt: skip


def test_an_ended_image_may_be_gone(run, publish, catalogue, site):
    publish("old", "20261101", "x")
    site.faults["/old/"] = 404
    code, _, err = run("old")
    assert code == 0 and err == f"images.yml:11: warning: old: {site.url}/old/ answers 404 Not Found\n"


def test_a_broken_lock_is_written_again_as_a_whole(run, publish, catalogue):
    for name in ("a", "b", "old"):
        publish(name, "20261101", name)
    run()
    good = lock.path(catalogue).read_bytes()
    lock.path(catalogue).write_text("a:\n  url: x\n")
    code, _, err = run("a")
    assert code == 1 and err.startswith("images.lock.yml:1: a: must have the fields url, ")
    code, _, err = run()
    assert code == 0 and err.startswith("images.lock.yml:1: warning: a: must have the fields url, ")
    assert lock.path(catalogue).read_bytes() == good


def test_mistakes(run, catalogue):
    assert run("c")[2].startswith("the catalogue has no image c. It has a, b, old")
    catalogue.write_text("a:\n  url: x\n")
    assert run() == (1, "", "images.yml:1:1: a: lacks checksums\nimages.yml:1:1: a: lacks user\n"
                     "images.yml:2:3: a.url: x must have the form https://host/path\n")  # fmt: skip
