"""One value of `.env` changes, and nothing else does."""

import stat
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet import dotenv
from fleet.config.write import quoted, set_value
from fleet.findings import Fault
from fleet.paths import ROOT

TOKEN, NEW = "PROXMOX_VE_API_TOKEN", "gitops@pve!terraform=5f0c6d1e-8a3b-4c2d-9e1f-000000000002"
PAIR = "PROXMOX_API_USER=root@pam!old\n{}PROXMOX_API_PASSWORD=secret\n"

CASES = {  # what is there, what is there afterwards
    "empty": (f"# one\n{TOKEN}=\nVM_CORES=2\n", f"# one\n{TOKEN}={NEW}\nVM_CORES=2\n"),
    "other value": (f"{TOKEN}=old\n", f"{TOKEN}={NEW}\n"),
    "no line end": (f"{TOKEN}=old", f"{TOKEN}={NEW}"),
    "new line": ("VM_CORES=2\n", f"VM_CORES=2\n{TOKEN}={NEW}\n"),
    "new line after none": ("VM_CORES=2", f"VM_CORES=2\n{TOKEN}={NEW}\n"),
    "new line in an empty file": ("", f"{TOKEN}={NEW}\n"),
    "new line after CRLF": ("VM_CORES=2\r\n#", f"VM_CORES=2\r\n#\r\n{TOKEN}={NEW}\r\n"),
    "CRLF and BOM": (f"\ufeff{TOKEN}=old\r\n# last\r\n", f"\ufeff{TOKEN}={NEW}\r\n# last\r\n"),
    "mixed line ends": (f"#a\r{TOKEN}=\r\n#b\n", f"#a\r{TOKEN}={NEW}\r\n#b\n"),
    "export and spaces": (f"  export {TOKEN} = old\n", f"  export {TOKEN} ={NEW}\n"),
    "comment": (f"{TOKEN}=old  # see below\n", f"{TOKEN}={NEW}  # see below\n"),
    "comment of no value": (f"{TOKEN}= # see below\n", f"{TOKEN}={NEW} # see below\n"),
    "no comment": (f"{TOKEN}=#old\n", f"{TOKEN}={NEW}\n"),
    "quotes": (f"{TOKEN}='a # \\' b' # c\n", f"{TOKEN}={NEW} # c\n"),
    "comment at the quote": (f'{TOKEN}="old"# c\n', f"{TOKEN}={NEW} # c\n"),
    "commented out": (f"# {TOKEN}=old\n", f"# {TOKEN}=old\n{TOKEN}={NEW}\n"),
    "pair": (PAIR.format("# why\n"), f"{TOKEN}={NEW}\n# why\n"),
    "pair and value": (f"{PAIR.format('')}{TOKEN}=\n#\n", f"{TOKEN}={NEW}\n#\n"),
    "same": (f"{TOKEN}='{NEW}' # c\n", f"{TOKEN}={NEW} # c\n"),
}


@pytest.mark.parametrize(("before", "after"), CASES.values(), ids=CASES)
def test_a_value_is_set(tmp_path, before, after):
    path = tmp_path / ".env"
    path.write_bytes(before.encode())
    path.chmod(0o644)
    assert set_value(path, TOKEN, NEW)
    assert path.read_bytes().decode() == after
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert dotenv.read(path)[TOKEN].value == NEW
    assert not set_value(path, TOKEN, NEW)


def test_the_other_name_of_a_value_gives_way(tmp_path):
    path = tmp_path / ".env"
    path.write_text("#\nPROXMOX_API_URL=https://old:8006 # c\nVM_CORES=2\n")
    set_value(path, "PROXMOX_VE_ENDPOINT", "https://new:8006/")
    assert path.read_text() == "#\nPROXMOX_VE_ENDPOINT=https://new:8006/ # c\nVM_CORES=2\n"


def test_a_file_that_was_private_already_and_says_it_stays_as_it_is(tmp_path):
    path = tmp_path / ".env"
    path.write_text(f"{TOKEN}={NEW}\n")
    path.chmod(0o644)
    written = path.stat().st_mtime_ns
    assert not set_value(path, TOKEN, NEW)
    assert (path.stat().st_mtime_ns, stat.S_IMODE(path.stat().st_mode)) == (written, 0o600)


def test_a_link_stays_one(tmp_path):
    path, target = tmp_path / ".env", tmp_path / "elsewhere"
    target.write_text("")
    path.symlink_to(target)
    assert set_value(path, TOKEN, NEW)
    assert path.is_symlink() and target.read_text() == f"{TOKEN}={NEW}\n"


def test_git_ignores_what_a_write_that_was_killed_leaves():
    """The new file stands beside `.env`, with all its secrets, until it takes that one's name."""
    names = ["..env.k3xq8a_z", ".env.bak", ".env.old", ".env~", "proxmox/vars/.vm_config.yml.k3xq8a_z"]
    ignored = subprocess.run(["git", "check-ignore", *names], cwd=ROOT, capture_output=True, encoding="utf-8")
    assert ignored.stdout.split() == names
    example = subprocess.run(["git", "check-ignore", ".env.example"], cwd=ROOT, capture_output=True)
    assert example.returncode == 1


TEXT = st.text(
    st.characters(exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"]) | st.just(" ")
)
# Above all what a shell, a parser or an editor could take for something else.
ODD = st.text(st.sampled_from("'\"\\ #$`=!{}ab~;&|*\N{SNOWMAN}"), max_size=12)
VALUES = (TEXT | ODD).map(str.strip)


@settings(deadline=None, max_examples=60)
@given(values=st.lists(VALUES, min_size=2, max_size=2), end=st.sampled_from(["\n", "\r\n"]))
def test_every_value_is_read_as_it_was_written(tmp_path_factory, values, end):
    path = tmp_path_factory.getbasetemp() / "property.env"
    path.write_bytes(end.join(["VM_DNS='it\\'s' # a comment", "# don't", "VAULT_TOKEN=", ""]).encode())
    for value in values:
        set_value(path, "VAULT_TOKEN", value)
        set_value(path, "PG_CONN_STR", value)
        found = dotenv.read(path)
        told = {
            name: found[name].value if name in found else ""
            for name in ("VAULT_TOKEN", "PG_CONN_STR", "VM_DNS")
        }
        assert told == {"VAULT_TOKEN": value, "PG_CONN_STR": value, "VM_DNS": "it's"}


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a/b:c@d!e=1,2%-+.", "a/b:c@d!e=1,2%-+."),
        ("a b", "'a b'"),
        ("$HOME", "'$HOME'"),
        ("it's \\", r"'it\'s \\'"),
    ],
)
def test_only_what_needs_quotes_has_them(value, written):
    assert quoted(value) == written


REFUSED = {
    "no file": (None, NEW, "does not exist; `cp .env.example .env` makes one"),
    "twice": (f"{TOKEN}=1\n{TOKEN}=2\n", NEW, ":2: " + f"{TOKEN} is set on line 1 too; remove one of them"),
    "unreadable line": (f"{TOKEN}='1\n", NEW, ":1: the quote is not closed, or text follows it"),
    "line break": ("", f"{NEW}\nVM_CORES=1", "or has a line break or another character that cannot be seen"),
    "no-break space": ("", f"{NEW}\u00a0x", "or has a line break or another character that cannot be seen"),
    "space": ("", f"{NEW} ", "begins or ends with a space"),
}


@pytest.mark.parametrize(("before", "value", "told"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_changes_nothing(tmp_path, before, value, told):
    path = tmp_path / ".env"
    if before is not None:
        path.write_text(before)
    with pytest.raises(Fault) as caught:
        set_value(path, TOKEN, value)
    text = caught.value.finding.text()
    assert told in text and NEW not in text
    assert before is None or path.read_text() == before
    assert list(tmp_path.iterdir()) == ([path] if before is not None else [])


def test_a_dangling_link_is_told(tmp_path):
    path = tmp_path / ".env"
    path.symlink_to(tmp_path / "gone")
    with pytest.raises(Fault, match=r"is a link to .*gone, which does not exist"):
        set_value(path, TOKEN, NEW)
