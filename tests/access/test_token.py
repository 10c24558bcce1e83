"""The script on a Proxmox of the lab's: what it makes and mends, what it names and keeps, and what it says."""

import io
import time

import pytest

from fleet.access.privileges import FULL, READ, of_version
from fleet.access.wanted import WORK
from lab import PROXMOX_URL, secret
from lab.proxmox import access, accounts, faults
from tests.access.conftest import EMPTY, USER

FULL_TOKEN, READ_TOKEN = f"{USER}!gitops", f"{USER}!gitops-read"


@pytest.mark.parametrize("release", [8, 9])
def test_from_nothing_and_once_more(site, release):
    faults.inject({"release": release})
    ran = site.run()
    assert (ran.status, ran.err) == (0, "")
    assert "token terraform@pve!gitops       missing  made with privilege separation" in ran.out
    made = site.state
    assert made["roles"]["GitOps"] == list(of_version(FULL, release))
    assert made["roles"]["GitOpsRead"] == list(of_version(READ, release))
    assert {name: token["privsep"] for name, token in made["tokens"].items()} == {
        FULL_TOKEN: 1,
        READ_TOKEN: 1,
    }
    # Nothing but looking is allowed on what decides who may do what.
    for name in (USER, FULL_TOKEN, READ_TOKEN):
        assert set(access.privileges(name, "/access")) == set(of_version(READ, release))
        assert set(access.privileges(name, "/access/realm/pve")) == set(of_version(READ, release))
    for path in ("/", *WORK, "/vms/500", "/storage/local", "/nodes/node01", "/sdn/zones/localnetwork/vmbr0"):
        assert set(access.privileges(FULL_TOKEN, path)) == set(of_version(FULL, release))
        assert set(access.privileges(READ_TOKEN, path)) == set(of_version(READ, release))
    text = site.file.read_text()
    assert site.file.stat().st_mode & 0o777 == 0o600
    assert text.startswith(EMPTY)
    assert site.answers() and site.answers("PROXMOX_READ_API_TOKEN")
    again = site.run(yes=False)
    assert (again.status, again.out, again.err) == (0, "nothing to change\n", "")
    assert (site.file.read_text(), site.state) == (text, made)


def role_lacks(state):
    state["roles"]["GitOps"].remove("VM.Clone")


def upgraded(state):
    """Made on Proxmox VE 8, whose privilege for the guest agent 9 does not know."""
    state["roles"] = {"GitOps": list(of_version(FULL, 8)), "GitOpsRead": list(of_version(READ, 8))}


def role_is_gone(state):
    del state["roles"]["GitOpsRead"]


def not_below(state):
    next(one for one in state["acl"] if (one["path"], one["ugid"]) == ("/vms", FULL_TOKEN))["propagate"] = 0


def without(**wanted):
    def remove(state):
        state["acl"] = [one for one in state["acl"] if wanted.items() - one.items()]

    return remove


def of_user(**values):
    return lambda state: state["users"][USER].update(values)


def of_token(**values):
    return lambda state: state["tokens"][FULL_TOKEN].update(values)


def from_older_guides(state):
    """As this project's own page had it: the user's role on /, and a token that has all of its user."""
    state["tokens"] = {FULL_TOKEN: state["tokens"][FULL_TOKEN] | {"privsep": 0}}
    state["acl"] = [{"path": "/", "ugid": USER, "type": "user", "roleid": "GitOps", "propagate": 1}]
    state["roles"] = {"GitOps": [one for one in FULL if one != "SDN.Audit"]}


PAST, NEAR = 1_700_000_000, int(time.time()) + 13 * 86400


def day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


MENDED = [
    pytest.param(role_lacks, ["role GitOps  lacks VM.Clone  completed"], id="role lacks a privilege"),
    pytest.param(upgraded, ["role GitOps      lacks VM.GuestAgent.Audit  completed",
                            "role GitOpsRead  lacks VM.GuestAgent.Audit  completed"], id="Proxmox was upgraded"),
    pytest.param(role_is_gone, ["role GitOpsRead  missing  made with 6 privileges"], id="role is gone"),
    pytest.param(without(path="/vms", ugid=FULL_TOKEN), ["GitOps on /vms  missing  given to terraform@pve!gitops\n"],
                 id="token alone lacks a role"),
    pytest.param(without(ugid=USER), ["GitOps on /sdn", "missing  given to terraform@pve\n"], id="user lacks them"),
    pytest.param(not_below, ["GitOps on /vms  missing  given to terraform@pve!gitops\n"], id="not below"),
    pytest.param(of_user(enable=0), ["user terraform@pve  disabled  enabled"], id="user is disabled"),
    pytest.param(of_user(expire=PAST), ["expired on 2023-11-14  does not expire"], id="user has expired"),
    pytest.param(of_token(expire=PAST), ["expired on 2023-11-14  does not expire"], id="token has expired"),
    pytest.param(of_token(expire=NEAR), [f"ends on {day(NEAR)}  does not expire"], id="token ends soon"),
    pytest.param(of_token(privsep=0), ["may do all that its user may  privilege separation"], id="not separated"),
    pytest.param(from_older_guides, ["lacks SDN.Audit", "gitops-read", "may do all that its user may"],
                 id="as older guides"),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "words"), MENDED)
def test_what_is_missing_is_mended(made, harm, words):
    whole = made.state
    broken = made.state
    harm(broken)
    access.write(broken)
    planned = made.run("--dry-run")
    assert planned.status == 1 and made.state == broken
    ran = made.run()
    assert (ran.status, ran.err) == (0, "")
    for word in words:
        assert word in ran.out and word in planned.out
    for name in (FULL_TOKEN, READ_TOKEN):
        assert all(access.privileges(name, path) for path in WORK)
    assert made.state["tokens"][FULL_TOKEN] == whole["tokens"][FULL_TOKEN] | (
        {"expire": 0} if "expire" in broken["tokens"][FULL_TOKEN] else {}
    )
    assert made.run().out.splitlines()[0] == "nothing to change"


def test_a_token_that_is_gone_is_made_again(made):
    accounts.remove_token(USER, "gitops")
    old = made.token()
    ran = made.run()
    assert (ran.status, ran.err) == (0, "")
    assert made.token() != old and made.answers() and made.answers("PROXMOX_READ_API_TOKEN")
    assert made.file.read_text().count("PROXMOX_VE_API_TOKEN") == 1


def test_a_token_without_separation_works_all_the_time(made):
    """Its own rights come first."""
    broken = made.state
    from_older_guides(broken)
    access.write(broken)
    with faults.injected({"match": f"PUT /access/users/{USER}/token/gitops", "status": 500, "message": "no"}):
        assert made.run().status == 2
    assert "VM.Clone" in access.privileges(FULL_TOKEN, "/vms/500")
    assert all("GitOps" in str(one) for one in made.state["acl"] if one["ugid"] == FULL_TOKEN)
    assert made.run().status == 0


def more_privileges(*names):
    return lambda state: state["roles"]["GitOps"].extend(names)


def more_entries(**entry):
    return lambda state: state["acl"].append({"type": "user", "propagate": 1, **entry})


def wide(state):
    next(one for one in state["acl"] if (one["ugid"], one["roleid"]) == (USER, "GitOps"))["propagate"] = 1


def another_token(state):
    state["tokens"][f"{USER}!old"] = {"privsep": 0, "hash": ""}


KEPT = [
    (more_privileges("VM.Console"), "role GitOps has VM.Console, which nothing here needs"),
    (more_privileges("Mapping.Use"), "role GitOps has Mapping.Use, for devices: hostpciN"),
    (more_entries(path="/", ugid=USER, roleid="PVEVMAdmin"),
     f"{USER} has PVEVMAdmin on /: `pveum acl delete / -user {USER} -role PVEVMAdmin` takes it away"),
    (more_entries(path="/vms", ugid=READ_TOKEN, roleid="PVEVMAdmin", type="token"),
     f"`pveum acl delete /vms -token '{READ_TOKEN}' -role PVEVMAdmin` takes it away"),
    (wide, f"`pveum acl modify / -user {USER} -role GitOps -propagate 0` leaves / alone"),
    (another_token, f"token old with all rights of its user: `pveum user token delete {USER} old` removes it"),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "words"), KEPT)
def test_what_is_more_than_needed_is_named_and_kept(made, harm, words):
    state = made.state
    harm(state)
    access.write(state)
    ran = made.run()
    assert (ran.status, ran.out.startswith("nothing to change\nmore than needed: ")) == (0, True)
    assert words in ran.out and ran.out.count("more than needed") == 1
    assert made.state == state


def test_the_token_of_root_that_older_guides_have(site):
    """In both spellings: its place is taken, and it is named."""
    token = accounts.add_token("root@pam", "tools", privsep=False, expire=None)
    pair = f"PROXMOX_API_USER={token['full-tokenid']}\nPROXMOX_API_PASSWORD={token['value']}\n"
    site.file.write_text(EMPTY + pair)
    site.file.chmod(0o600)
    ran = site.run()
    assert (ran.status, ran.err) == (0, "")
    assert (
        ".env names root@pam!tools, which has all rights of root@pam: `pveum user token delete root@pam tools`"
        in (ran.out)
    )
    assert site.token().startswith(f"{FULL_TOKEN}=") and "PROXMOX_API_" not in site.file.read_text()
    assert "more than needed" not in site.run().out


@pytest.mark.parametrize(
    ("named", "ended"), [(["gitops"], [True, False]), (["gitops-read"], [False, True]), ([], [True, True])]
)
def test_a_new_secret(made, named, ended):
    names = ["PROXMOX_VE_API_TOKEN", "PROXMOX_READ_API_TOKEN"]
    old = [made.token(name) for name in names]
    ran = made.run("--rotate", *named)
    assert (ran.status, ran.err) == (0, "")
    assert [made.token(name) != before for name, before in zip(names, old, strict=True)] == ended
    assert all(map(made.answers, names))
    assert made.file.read_text().startswith(EMPTY) and made.file.stat().st_mode & 0o777 == 0o600
    text = made.file.read_text()
    for name, before, gone in zip(names, old, ended, strict=True):
        if gone:
            made.file.write_text(text.replace(made.token(name), before))
            assert not made.answers(name)
            made.file.write_text(text)
    assert made.run().out == "nothing to change\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "PROXMOX_VE_API_TOKEN in .env has no token, and Proxmox tells the secret of"),
        ("PROXMOX_VE_API_TOKEN=a@pve!b=c-d\n", "has the token a@pve!b, and Proxmox tells the secret of"),
        (
            f"PROXMOX_VE_API_TOKEN={FULL_TOKEN}=0-1\n",
            f"in .env is not the secret of {FULL_TOKEN}: `make fix-token",
        ),
    ],
)
def test_a_secret_that_is_lost(made, text, words):
    state, read = made.state, f"PROXMOX_READ_API_TOKEN={made.token('PROXMOX_READ_API_TOKEN')}\n"
    made.file.write_text(EMPTY + read + text)
    ran = made.run()
    assert (ran.status, ran.out) == (1, "nothing to change\n")
    assert words in ran.err.replace(str(made.file), ".env")
    assert "`make fix-token ROTATE=gitops` makes a new one, and the old one ends" in ran.err
    assert ran.err.count("\n") == 1 and made.state == state
    assert made.run("--rotate", "gitops").status == 0 and made.answers()


def test_any_certificate_is_taken_only_with_a_warning(made):
    ran = made.run(PROXMOX_VE_INSECURE="true")
    assert ran.status == 0
    assert "whoever answers at https://192.168.1.1:8006 can read the password as well\n" in ran.err
    ran = made.run(SSL_CERT_FILE="/etc/ssl/certs/ca-certificates.crt")
    assert (ran.status, "no CA known here signed it" in ran.err) == (2, True)


def test_the_environment_wins_and_that_is_said(made):
    ran = made.run(PROXMOX_VE_API_TOKEN=f"{FULL_TOKEN}=0-1")
    assert ran.status == 0
    assert ran.err.startswith("warning: PROXMOX_VE_API_TOKEN of the environment wins over ")
    assert ran.err.endswith(": `unset PROXMOX_VE_API_TOKEN`\n")


@pytest.mark.parametrize(("answer", "status"), [("n\n", 1), ("\n", 1), ("", 2), ("y\n", 0), ("YES\n", 0)])
def test_it_asks(site, monkeypatch, answer, status):
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    empty = site.state
    ran = site.run(yes=False)
    assert ran.status == status and "Change this in Proxmox? [y/N] " in ran.out
    assert (site.state == empty) == (status != 0)
    if status:
        assert (
            ran.err.strip() == {1: "nothing was changed", 2: "nobody is there to agree: give --yes"}[status]
        )


def test_the_password_comes_from_a_prompt_or_from_standard_input(made, monkeypatch):
    asked = []
    ran = made.run(password=False)
    assert (
        ran.status == 2
        and "nobody is there to type the password of root@pam: give --password-file" in ran.err
    )
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda text: asked.append(text) or secret("proxmox_root_password"))
    assert made.run(password=False).status == 0
    monkeypatch.setattr("sys.stdin", io.StringIO(secret("proxmox_root_password") + "\n"))
    assert made.run("--password-file", "-", password=False).status == 0
    assert asked == ["The password of root@pam: "]


ADMIN = "root@pam!once"


def administrators_token(site, privsep=False):
    site.password.write_text(accounts.add_token("root@pam", "once", privsep=privsep, expire=None)["value"])


def test_an_administrators_token_does_as_well(site):
    """It is the way out for a second factor."""
    faults.inject({"second_factor": "root@pam"})
    ran = site.run()
    assert (ran.status, ran.out) == (2, "")
    assert "root@pam has a second factor" in ran.err and "`pveum user token add root@pam fix-token" in ran.err
    assert site.state["users"] == {}
    administrators_token(site)
    assert site.run("--user", ADMIN).status == 0 and site.answers()


def test_who_may_not_do_it(made):
    """What Proxmox does not show him would look missing."""
    made.password.write_text(made.token().partition("=")[2])
    before = made.state
    ran = made.run("--user", FULL_TOKEN)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(
        f"{FULL_TOKEN} lacks Sys.Modify on /access, User.Modify on /access/groups, Realm."
    )
    assert "Permissions.Modify on /vms: give --user an administrator of the cluster, as root@pam" in ran.err
    assert made.state == before


@pytest.mark.parametrize(
    ("argv", "password", "words"),
    [
        ([], "wrong", "refused the login of root@pam: the password is wrong, or there is no such user"),
        (["--user", "eve@pve"], "wrong", "refused the login of eve@pve: the password is wrong"),
        (["--user", ADMIN], "0-1", f"refused the login of {ADMIN}: the secret is wrong"),
        (["--user", ADMIN], "a b", f"what is given for {ADMIN} is not the secret of a token"),
        ([], "\n", "password: the password of root@pam is missing"),
        (["--password-file", "/nowhere/file"], "x", "/nowhere/file: the password of root@pam is missing"),
    ],
)
def test_a_login_that_fails(site, argv, password, words):
    site.password.write_text(password)
    ran = site.run(*argv)
    assert (ran.status, ran.out, words in ran.err) == (2, "", True), ran.err


@pytest.mark.parametrize("user", ["root", "root@pam!x=secret", "@pam", ""])
def test_what_is_not_a_user(site, user):
    with pytest.raises(SystemExit) as caught:
        site.run("--user", user)
    assert caught.value.code == 2
    assert "--user is USER@REALM, as root@pam" in site.capsys.readouterr().err


@pytest.mark.parametrize(
    "match",
    [
        "POST /access/ticket",
        "GET /version",
        "GET /access/acl",
        "POST /access/roles",
        "POST .*/token",
        "PUT /access/acl",
    ],
)
@pytest.mark.parametrize(("status", "message"), [(500, "got timeout"), (595, "No route to host")])
def test_a_call_that_fails_and_the_next_run(site, match, status, message):
    with faults.injected({"match": match, "status": status, "message": message}):
        ran = site.run()
    assert ran.status == 2 and message in ran.err and ran.err.count("\n") == 1
    assert site.run().status == 0
    assert site.run().out == "nothing to change\n"


def test_proxmox_is_down(site):
    ran = site.run(PROXMOX_VE_ENDPOINT=PROXMOX_URL.replace("8006", "8999"))
    assert (ran.status, "is down or out of reach" in ran.err) == (2, True)
    start = time.monotonic()
    site.file.write_text("")
    ran = site.run()
    assert (ran.status, "PROXMOX_VE_ENDPOINT is not set" in ran.err) == (2, True)
    assert time.monotonic() - start < 1
