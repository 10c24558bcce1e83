"""The commits of a range, in real repositories: their order, their changed machines, their encodings."""

import shutil
import subprocess

import pytest

from tests.helpers.clone import short


def test_twenty_commits_in_one_push(repo, extract):
    for number in range(20):
        repo.vm(f"k8s-n{number:02}")
        repo.commit(f"feat: add {number} [ansible k8s-n{number:02}]")
    _, answer, _ = extract(repo.path)
    assert short(answer) == [(f"k8s-n{n:02}", "k8s", f"k8s-n{n:02}", [f"k8s-n{n:02}"]) for n in range(20)]


def test_more_commits_than_a_pipe_and_a_read_hold(repo, extract):
    """With long messages between them, which arrive in several reads."""
    count, lines = 1130, []
    for number in range(count):
        long = "x" * 5000 if number % 10 else "\u00e9" * 2500
        message = f"add {number} [ansible k8s-n{number}]\n\n{long}\n".encode()
        lines += [f"commit refs/heads/main\ncommitter me <me@example.com> {number} +0000\n".encode()]
        lines += [b"data %d\n" % len(message), message, b"" if number else f"from {repo.start}\n".encode()]
        lines += [f"M 644 inline proxmox/vms/k8s-n{number}.yaml\ndata 2\nx\n\n".encode()]
    repo.git("fast-import", "--quiet", stdin=b"".join(lines))
    repo.git("reset", "-q", "--hard", "main")
    code, answer, err = extract(repo.path)
    assert (code, err) == (0, "")
    assert short(answer) == [(f"k8s-n{n}", "k8s", f"k8s-n{n}", [f"k8s-n{n}"]) for n in range(count)]


def test_the_oldest_first_though_the_clocks_were_wrong(repo, extract):
    """A request is listed before those of its descendants, whatever the dates of the commits say."""
    lines = []
    parents = {"a": (repo.start, ""), "b": (":1", ""), "c": (":1", ""), "d": (":2", "merge :3\n")}
    dates = {"a": 50, "b": 1, "c": 40, "d": 10}
    for mark, (name, (parent, merge)) in enumerate(parents.items(), start=1):
        text = f"{name} [ansible {'myapp' if name == 'a' else 'haproxy'}]" if name in "ab" else name
        lines += [
            f"commit refs/heads/main\nmark :{mark}\ncommitter me <me@example.com> {dates[name]} +0000\n"
        ]
        lines += [f"data {len(text)}\n{text}\nfrom {parent}\n{merge}\n"]
    repo.git("fast-import", "--quiet", "--force", stdin="".join(lines).encode())
    assert [r["name"] for r in extract(repo.path)[1]["requests"]] == ["myapp", "haproxy"]


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not installed")
def test_signed_commits(repo, extract, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    settings = {"gpg.format": "ssh", "user.signingKey": tmp_path / "key", "commit.gpgSign": "true",
                "log.showSignature": "true"}  # fmt: skip
    for name, value in settings.items():
        repo.git("config", name, str(value))
    head = repo.commit("x [ansible myapp]")
    assert "SSH SIGNATURE" in repo.git("cat-file", "commit", head)
    code, answer, err = extract(repo.path)
    assert (code, err) == (0, "") and [r["commit"] for r in answer["requests"]] == [head]


def test_merge_counts_what_it_brought_to_its_first_parent(repo, extract):
    repo.git("checkout", "-q", "-b", "side")
    repo.vm("web-a")
    repo.commit("one")
    repo.vm("web-b")
    repo.commit("two")
    repo.git("checkout", "-q", "main")
    repo.vm("web-c")
    repo.commit("meanwhile")
    repo.git("merge", "-q", "--no-ff", "-m", "Merge branch 'side' [ansible myapp]", "side")
    _, answer, _ = extract(repo.path)
    assert short(answer) == [("myapp", "myapp", None, ["web-a", "web-b"])]


def test_tags_of_a_merged_branch_count(repo, extract):
    repo.git("checkout", "-q", "-b", "side")
    repo.vm("web-a")
    repo.commit("one [ansible myapp]")
    repo.git("checkout", "-q", "main")
    repo.git("merge", "-q", "--no-ff", "-m", "Merge branch 'side'", "side")
    _, answer, _ = extract(repo.path)
    assert short(answer) == [("myapp", "myapp", None, ["web-a"])]


def test_a_renamed_file_changes_both_machines(repo, extract):
    repo.vm("web-a", text="name: a\n" * 20)
    repo.served(repo.commit("one"))
    repo.git("mv", "proxmox/vms/web-a.yaml", "proxmox/vms/web-b.yaml")
    repo.commit("rename [ansible myapp]")
    assert short(extract(repo.path)[1]) == [("myapp", "myapp", None, ["web-a", "web-b"])]


def test_settings_of_the_clone_do_not_change_the_answer(repo, extract):
    for setting in ("log.showSignature=true", "core.quotePath=true", "color.ui=always", "log.showRoot=false",
                    "log.follow=true", "diff.renames=copies", "i18n.logOutputEncoding=latin1",
                    "log.abbrevCommit=true", "format.pretty=oneline", "diff.noprefix=true"):  # fmt: skip
        repo.git("config", *setting.split("="))
    repo.vm("web-ä", "web-b")
    repo.commit("ä [ansible myapp]")
    (request,) = extract(repo.path)[1]["requests"]
    assert request["changed"] == ["web-b", "web-ä"] and request["subject"] == "ä [ansible myapp]"


def test_other_encodings(repo, extract):
    repo.git("config", "i18n.commitEncoding", "latin1")
    repo.commit("Größe [ansible myapp]".encode("latin1"))
    assert extract(repo.path)[1]["requests"][0]["subject"] == "Größe [ansible myapp]"
