"""`.env` means what it says, whatever wrote it; what is wrong is told with its line, and no value is."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet import dotenv
from fleet.findings import Fault
from fleet.paths import shown

SECRET = "5f0c6d1e-8a3b-4c2d-9e1f-c0ffee000001"
TOKEN, USER = "PROXMOX_VE_API_TOKEN", "gitops@pve!terraform"
ENDPOINT = "PROXMOX_VE_ENDPOINT"


@pytest.fixture
def env(tmp_path, monkeypatch):
    """A function that writes `.env`, which the scripts then read."""
    path = tmp_path / ".env"
    monkeypatch.setenv("PROXMOX_GITOPS_ENV", str(path))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)

    def write(text: str | bytes, mode: int = 0o600):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return path

    return write


def values(path) -> dict[str, str]:
    return {name: entry.value for name, entry in dotenv.read(path).items()}


READ = {
    "plain": ("VM_DNS=1.1.1.1", "1.1.1.1"),
    "CRLF": ("VM_CORES=2\r\nVM_DNS=1.1.1.1\r\n", "1.1.1.1"),
    "CR": ("# x\rVM_DNS=1.1.1.1\r", "1.1.1.1"),
    "BOM": ("\ufeffVM_DNS=1.1.1.1\n", "1.1.1.1"),
    "BOM and CRLF": ("\ufeff# x\r\n\r\nVM_DNS='1.1.1.1'\r\n", "1.1.1.1"),
    "export": ("export VM_DNS=1.1.1.1", "1.1.1.1"),
    "spaces": ("  VM_DNS = 1.1.1.1  9.9.9.9\t", "1.1.1.1  9.9.9.9"),
    "comment": ("VM_DNS=1.1.1.1 # the router", "1.1.1.1"),
    "comment alone": ("VM_DNS= # the router", None),
    "hash": ("VM_DNS=a#b", "a#b"),
    "hash first": ("VM_DNS=#b", "#b"),
    "hash in quotes": ("VM_DNS='a # b' # c", "a # b"),
    "dollar": ("VM_DNS=$HOME${HOME}$(id)`id`", "$HOME${HOME}$(id)`id`"),
    "dollar in double quotes": ('VM_DNS="$HOME ${HOME}"', "$HOME ${HOME}"),
    "single quotes": ("VM_DNS='a b'", "a b"),
    "spaces in quotes": ("VM_DNS=' a b '", "a b"),
    "quote in quotes": (r"""VM_DNS='it\'s "so"'""", """it's "so\""""),
    "quote within": ("VM_DNS=it's", "it's"),
    "backslashes": (r"VM_DNS='C:\\temp\\'", "C:\\temp\\"),
    "backslash at the end, and a quote later": ("VM_DNS='a\\\\'\nVM_DOMAIN='b'\n", "a\\"),
    "unquoted backslash": (r"VM_DNS=a\nb", r"a\nb"),
    "equals sign": ("VM_DNS=a=b", "a=b"),
    "empty": ("VM_DNS=", None),
    "empty in quotes": ("VM_DNS=''", None),
    "only spaces": ("VM_DNS='  '", None),
    "not ASCII": ("VM_DNS=grün", "grün"),
}


@pytest.mark.parametrize(("text", "value"), READ.values(), ids=READ)
def test_a_value_is_read(env, text, value):
    assert values(env(text)).get("VM_DNS") == value


WRONG = {  # text, the line that is told, and the words
    "no equals sign": ("VM_CORES=2\nVM_DNS", 2, "is not of the form NAME=value"),
    "a pasted secret": (f"\n{SECRET}", 2, "is not of the form NAME=value"),
    "spaces in the name": ("VM DNS=1", 1, "is not of the form NAME=value"),
    "open quote": ("VM_DNS='1.1.1.1\nVM_CORES='2'\n", 1, "the quote is not closed, or text follows it"),
    "open quote after CRLF": ("#\r\n\r\nVM_DNS='1\r\n", 3, "the quote is not closed, or text follows it"),
    "text after a quote": ('VM_DNS="a" b', 1, "the quote is not closed, or text follows it"),
    "mistyped": ("VM_NAME=a", 1, "VM_NAME is unknown; did you mean VM_NAMES?"),
    "lower case": ("vm_names=a", 1, "the name before = is unknown; did you mean VM_NAMES?"),
    "unknown": ("SOMETHING_ELSE=a", 1, "SOMETHING_ELSE is unknown; see .env.example"),
    "half a secret": (f"VAULT_TOKEN=a\n{SECRET.upper()}==\n", 2, "the name before = is unknown; see .env.example"),
    "half an address": (f"postgres://u:{SECRET}@db/x?sslmode=require", 1, "the name before = is unknown"),
    "twice": ("VM_DNS=1\n\nVM_DNS=1\n", 3, "VM_DNS is set on line 1 too; remove one of them"),
    "line break": (r'VM_DNS="a\nb"', 1, "the value of VM_DNS has a line break or a character that cannot be seen"),
    "escape": ("VM_DNS=\x1b[31m", 1, "the value of VM_DNS has a line break or a character that cannot be seen"),
    "NUL": ("VM_DNS=a\0b", 1, "the value of VM_DNS has a line break or a character that cannot be seen"),
    "no-break space": ("VM_DNS=a\u00a0b", 1, "the value of VM_DNS has a line break or a character that cannot"),
    "zero width": (f"{TOKEN}={USER}={SECRET}\u200b", 1, f"the value of {TOKEN} has a line break or a character"),
    "both names": (
        f"PROXMOX_API_URL=https://a:8006\n{ENDPOINT}=https://b:8006",
        1,
        f"PROXMOX_API_URL and {ENDPOINT} (line 2) have different values; remove one of them",
    ),
    "both tokens": (
        f"{TOKEN}={USER}={SECRET}\nPROXMOX_API_USER={USER}\nPROXMOX_API_PASSWORD={SECRET}2",
        2,
        f"PROXMOX_API_USER and {TOKEN} (line 1) have different values; remove one of them",
    ),
    "half a pair": (f"#\nPROXMOX_API_PASSWORD={SECRET}", 2, f"needs PROXMOX_API_USER; or set {TOKEN} instead of both"),
    "other half": (f"PROXMOX_API_USER={USER}", 1, f"needs PROXMOX_API_PASSWORD; or set {TOKEN} instead of both"),
    "a user": (
        f"PROXMOX_API_USER=root@pam\nPROXMOX_API_PASSWORD={SECRET}",
        1,
        "PROXMOX_API_USER is a user and not a token, USER@REALM!ID; remove it and PROXMOX_API_PASSWORD, and run"
        " `make fix-token`, which makes a token",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line", "told"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_with_its_line(env, text, line, told):
    with pytest.raises(Fault) as caught:
        dotenv.read(env(text))
    assert re.search(
        rf"(: |; )line {line}: (PROXMOX_API_\w+ )?{re.escape(told)}", caught.value.finding.text()
    )
    assert SECRET not in str(caught.value) and SECRET.upper() not in str(caught.value)


def test_the_file_goes_on_after_a_quote_that_is_not_closed(env):
    entries, findings = dotenv.parse("VM_DNS='1\nVM_USER=a\nVM_DOMAIN='b'\n")
    assert {name: entry.value for name, entry in entries.items()} == {"VM_USER": "a", "VM_DOMAIN": "b"}
    assert [finding.line for finding in findings] == [1]


def test_all_that_is_wrong_is_told_at_once(env):
    path = env(f"VM_NAME=a\r\n=\r\nVM_DNS=1\r\nVM_DNS=2\r\nVAULT_TOKEN={SECRET}\r\n", 0o644)
    found, findings = dotenv.examine(path)
    assert [finding.line for finding in findings] == [1, 2, 4, 0]
    assert {finding.path for finding in findings} == {shown(path)}
    assert found["VAULT_TOKEN"] == (SECRET, 5)


@pytest.mark.parametrize(
    ("mode", "text", "refused"),
    [
        (0o600, f"VAULT_TOKEN={SECRET}", False),
        (0o400, f"VAULT_TOKEN={SECRET}", False),
        (0o640, f"VAULT_TOKEN={SECRET}", True),
        (0o604, f"VAULT_TOKEN={SECRET}", True),
        (0o644, f"PROXMOX_API_USER={USER}\nPROXMOX_API_PASSWORD={SECRET}", True),
        (0o644, "VAULT_TOKEN=\nVM_CORES=2", False),
    ],
)
def test_only_secrets_must_be_private(env, mode, text, refused):
    path = env(text, mode)
    if refused:
        with pytest.raises(Fault, match=rf"others may read it, and it has \w+TOKEN: `chmod 600 {path}`"):
            dotenv.read(path)
    else:
        dotenv.read(path)


def test_no_file_says_nothing(env, tmp_path):
    assert dotenv.read(tmp_path / "none") == {}


def directory(path):
    path.mkdir()
    return "cannot be read: Is a directory"


def dangling(path):
    path.symlink_to("nowhere/.env")
    return "is a link to nowhere/.env, which does not exist"


def latin(path):
    path.write_bytes(f"VM_CORES=2\nVAULT_TOKEN={SECRET}\nVM_DNS=gr\xfcn\n".encode("latin-1"))
    return ":3: is not valid UTF-8; save the file as UTF-8"


def utf16(path):
    path.write_text(f"VAULT_TOKEN={SECRET}\n", "utf-16")
    return ":1: is not valid UTF-8; save the file as UTF-8"


@pytest.mark.parametrize("make", [directory, dangling, latin, utf16])
def test_what_is_no_text_is_told(env, tmp_path, make):
    told = make(tmp_path / ".env")
    with pytest.raises(Fault) as caught:
        dotenv.load({})
    assert told in caught.value.finding.text() and SECRET not in caught.value.finding.text()


def test_a_link_to_a_file_is_read(env, tmp_path):
    (tmp_path / "link").symlink_to(env("VM_CORES=2"))
    assert values(tmp_path / "link") == {"VM_CORES": "2"}


FILE = (
    f"PROXMOX_API_URL=https://file:8006\nPROXMOX_API_USER={USER}\nPROXMOX_API_PASSWORD={SECRET}\nVM_CORES=4\n"
)
FROM_FILE = {ENDPOINT: "https://file:8006", TOKEN: f"{USER}={SECRET}"}
LOADED = {  # the environment before, and what it has then besides
    "nothing": ({}, FROM_FILE),
    "empty": ({ENDPOINT: "", TOKEN: " "}, FROM_FILE),
    "canonical": ({ENDPOINT: "https://env:8006"}, FROM_FILE | {ENDPOINT: "https://env:8006"}),
    "other name": ({"PROXMOX_API_URL": "https://env:8006"}, FROM_FILE | {ENDPOINT: "https://env:8006"}),
    "pair": (
        {"PROXMOX_API_USER": "a@pve!b", "PROXMOX_API_PASSWORD": "c"},
        FROM_FILE | {TOKEN: "a@pve!b=c"},
    ),
    "white space": ({ENDPOINT: " https://env:8006\n"}, FROM_FILE | {ENDPOINT: "https://env:8006"}),
    "GitHub": ({"GITHUB_ACTIONS": "true"}, {}),
    "GitHub with secrets": (
        {"GITHUB_ACTIONS": "true", "PROXMOX_API_URL": "https://env:8006"},
        {ENDPOINT: "https://env:8006"},
    ),
}


@pytest.mark.parametrize(("environ", "wanted"), LOADED.values(), ids=LOADED)
def test_the_environment_wins(env, environ, wanted):
    env(FILE)
    after = dict(environ)
    dotenv.load(after)
    assert after == environ | wanted
    again = dict(after)
    dotenv.load(again)
    assert again == after


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"PROXMOX_API_PASSWORD": SECRET}, "PROXMOX_API_PASSWORD needs PROXMOX_API_USER"),
        ({"PROXMOX_API_USER": "root@pam", "PROXMOX_API_PASSWORD": SECRET}, "is a user and not a token"),
        (
            {"PROXMOX_API_URL": "https://a", ENDPOINT: "https://b"},
            f"PROXMOX_API_URL and {ENDPOINT} (the environment) have different values",
        ),
    ],
)
def test_what_is_wrong_in_the_environment_is_told(env, environ, told):
    env(FILE)
    with pytest.raises(Fault) as caught:
        dotenv.load(dict(environ))
    assert str(caught.value).startswith("the environment: ") and told in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_broken_file_is_no_matter_on_a_runner(env):
    env("nonsense")
    dotenv.load({"GITHUB_ACTIONS": "true"})
    with pytest.raises(Fault):
        dotenv.load({})


PIECES = st.sampled_from(
    [
        "VM_DNS",
        "VAULT_TOKEN",
        "export ",
        "=",
        " ",
        "'",
        '"',
        "\\",
        "#",
        "\n",
        "\r\n",
        "\t",
        "\ufeff",
        "\0",
        "$",
        "é",
        SECRET,
    ]
)


@settings(deadline=None, max_examples=300)
@given(pieces=st.lists(PIECES, max_size=25))
def test_no_text_breaks_the_reader_or_is_repeated_by_it(pieces):
    text = "".join(pieces)
    entries, findings = dotenv.parse(text)
    lines = len(re.split("\r\n|\n|\r", text))
    assert all(1 <= one.line <= lines for one in [*entries.values(), *findings])
    assert [one.message for one in findings if SECRET in one.message or not one.message.isprintable()] == []


def test_the_table_is_sound():
    from fleet.settings import SETTINGS
    from fleet.variables import NAMES, VARIABLES

    assert len(NAMES) == len(VARIABLES)
    assert [name for name in NAMES if not re.fullmatch(r"[A-Z][A-Z0-9_]+", name)] == []
    assert not dotenv.ALIASES.keys() & NAMES.keys()
    secrets = {setting.name for setting in SETTINGS if setting.secret} & NAMES.keys()
    # An address is no secret here, even where the repository keeps it as one.
    assert {name for name in secrets if not NAMES[name].secret} <= {ENDPOINT, "VAULT_ADDR"}
