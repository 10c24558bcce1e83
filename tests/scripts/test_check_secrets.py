"""check_secrets.py and look_for_machines.py: what is said of a repository's settings before anything starts."""

import json
import os
import subprocess
import sys

import pytest

import check_secrets
import look_for_machines
from fleet import settings as table
from fleet.paths import ROOT
from fleet.secrets import check, forms
from fleet.steps import first_run

GOOD = {
    "PROXMOX_VE_ENDPOINT": "https://pve.example.org:8006/",
    "PROXMOX_VE_API_TOKEN": "terraform@pve!gitops=s3cr3t3b-1b6f-4c53-9d53-8c1f0c9c3a11",
    "PG_CONN_STR": "postgres://user:s3cr3t@host/database",
    "VAULT_ADDR": "https://vault.example.org",
    "VAULT_TOKEN": "hvs.s3cr3t-abc_def",
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Private keys in the forms that people have: by OpenSSH, in PEM, with a passphrase."""
    folder, found = tmp_path_factory.mktemp("keys"), {}
    for name, options in {
        "ed25519": ["-t", "ed25519"],
        "pem": ["-t", "rsa", "-b", "2048", "-m", "PEM"],
        "locked": ["-t", "ed25519", "-N", "secret-words"],
    }.items():
        given = options if "-N" in options else [*options, "-N", ""]
        subprocess.run(["ssh-keygen", "-q", "-f", folder / name, *given], check=True)
        found[name] = (folder / name).read_text()
    return found | {"public": (folder / "ed25519.pub").read_text()}


@pytest.fixture
def run(monkeypatch, capsys, tmp_path, keys):
    """Call check_secrets.py with these settings, on a fleet of these machines; its output tells no secret."""
    for name in [*(setting.name for setting in table.SETTINGS), "SSH_AUTH_SOCK", "GITHUB_ACTIONS"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    vms, hosts, queue = tmp_path / "vms", tmp_path / "k8s.ini", tmp_path / "new_hosts.txt"
    vms.mkdir()
    for name in ("k8s-home", "boot-server"):
        (vms / f"{name}.yaml").touch()
    for module in (check, first_run):
        monkeypatch.setattr(module, "VMS_DIR", vms)
        monkeypatch.setattr(module, "INVENTORY", hosts)
    monkeypatch.setattr(check, "PROXMOX_DIR", tmp_path)
    monkeypatch.setattr(first_run, "QUEUE", queue)

    def call(*names, machines=(), **changes):
        for name in machines:
            (vms / f"{name}.yaml").touch()
        values = GOOD | {"SSH_PRIVATE_KEY": keys["ed25519"]} | changes
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        code = check_secrets.main(list(names))
        out, err = capsys.readouterr()
        assert "s3cr3t" not in out + err and "PRIVATE KEY" not in out + err
        assert not [line for line in keys["ed25519"].splitlines() if line in out + err]
        return code, out, err

    call.folder = tmp_path
    return call


def test_complete(run):
    assert run(machines=["k8s-dev"]) == (0, "the secrets and variables are complete\n", "")


def test_everything_that_is_missing_is_told_at_once(run):
    code, out, err = run(machines=["web-dev"], **dict.fromkeys([*GOOD, "SSH_PRIVATE_KEY"], " \n"))
    needed = [setting.name for setting in table.SETTINGS if setting.needed == "always"]
    assert (code, out) == (1, "")
    assert [line.split(" is not set: ")[0] for line in err.splitlines()] == needed
    assert err.count("docs/install.md, step") == 3
    code, _, err = run(machines=["talos-eu-cp1"], VAULT_ADDR="", VAULT_TOKEN="")
    lines = [line for line in err.splitlines() if "VAULT" in line]
    assert len(lines) == 2 and "which stores the kubeconfig of talos-eu-cp1; set it in the rep" in lines[0]


def test_vault_is_needed_by_a_cluster_of_the_inventory_too(run):
    (run.folder / "k8s.ini").write_text("k8s-home ansible_host=192.168.1.4\n")
    assert run(VAULT_ADDR="", VAULT_TOKEN="")[0] == 0
    (run.folder / "k8s.ini").write_text("k8s-old ansible_host=192.168.1.5\n")
    assert "the kubeconfig of k8s-old" in run(VAULT_ADDR="", VAULT_TOKEN="")[2]


def test_what_takes_the_place_of_a_secret(run, monkeypatch):
    assert run(PG_CONN_STR="", SSH_PRIVATE_KEY="")[2].count("is not set") == 2
    (run.folder / "backend_override.tf").touch()
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    assert run(PG_CONN_STR="", SSH_PRIVATE_KEY="")[0] == 0
    monkeypatch.delenv("SSH_AUTH_SOCK")
    (run.folder / ".ssh").mkdir()
    (run.folder / ".ssh" / "id_ed25519").touch()
    assert run(PG_CONN_STR="", SSH_PRIVATE_KEY="")[0] == 0


def test_only_the_named_ones(run):
    assert run("VAULT_ADDR", "VAULT_TOKEN", PG_CONN_STR="", SSH_PRIVATE_KEY="x")[0] == 0
    with pytest.raises(SystemExit) as stop:
        run("VAULT_ADDRESS")
    assert stop.value.code == 2


def test_on_a_runner_each_is_an_annotation(run, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    _, _, err = run(PG_CONN_STR="", MAX_CHANGES="many")
    assert all(line.startswith("::error::") for line in err.splitlines()) and err.count("\n") == 2


WELL = [
    ("PROXMOX_VE_ENDPOINT", "https://10.0.0.2:8006"),
    ("PROXMOX_VE_API_TOKEN", f" {GOOD['PROXMOX_VE_API_TOKEN']}\r\n"),
    ("PG_CONN_STR", "postgresql://user:p%40ss%23w%2Frd@10.0.0.3:5432/tf?sslmode=disable\n"),
    ("PG_CONN_STR", "postgres:///tf?host=/run/postgresql"),
    ("PG_CONN_STR", "postgres://user@[2001:db8::1]:5432/tf"),
    ("PG_CONN_STR", "host=db user=tf password='it''s'  dbname = tf sslmode=disable"),
    ("PG_CONN_STR", r"host=db password='a b\' c' dbname=tf"),
    ("VAULT_ADDR", "https://vault.example.org:8200/"),
    ("VAULT_ADDR", "http://127.0.0.1:8200"),
    ("MAX_CHANGES", "50"),
    ("PARALLELISM", "1"),
    ("NIGHTLY", "off"),
    ("SSH_TIMEOUT", "12.5"),
    ("PROXMOX_VE_INSECURE", "true"),
    ("K3S_INSTALL_SHA256", "0123456789abcdef" * 4),
    ("K3S_VERSION", "v1.34.4-rc1+k3s1"),
    ("K3S_GITHUB_URL", "https://mirror.lan/k3s/releases"),
    ("K3S_INSTALL_URL", "http://mirror.lan:8080/install.sh"),
    ("CHART_MIRROR", "http://192.168.1.1:8081"),
    ("CHART_MIRROR", "oci://mirror.lan/charts"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WELL)
def test_what_is_well_formed(run, name, value):
    value = value.replace("it''s", "its")
    assert run(**{name: value})[0] == 0
    assert os.environ[name] == value.strip(), "for all that the script starts"


WRONG = [
    ("PROXMOX_VE_ENDPOINT", "http://pve.example.org:8006", "PROXMOX_VE_ENDPOINT must start with https://"),
    ("PROXMOX_VE_ENDPOINT", "pve.example.org:8006", "PROXMOX_VE_ENDPOINT is not a URL"),
    ("PROXMOX_VE_API_TOKEN", "s3cr3t3b-1b6f-4c53-9d53-8c1f0c9c3a11", "must be USER@REALM!ID=SECRET"),
    ("PROXMOX_VE_API_TOKEN", "PVEAPIToken=root@pam!x=s3cr3t", "must be USER@REALM!ID=SECRET"),
    ("PG_CONN_STR", "user:s3cr3t@host/database", "PG_CONN_STR is neither a URL"),
    ("PG_CONN_STR", "host=db password=s3cr3t's", "PG_CONN_STR is neither a URL"),
    ("PG_CONN_STR", "mysql://user:s3cr3t@host/database", "PG_CONN_STR must begin with postgres://"),
    ("PG_CONN_STR", "postgres://user:s3cr3t#s3cr3t@host/database", "write # as %23"),
    ("PG_CONN_STR", "postgres://user:s3cr3t/s3cr3t@host/database", "write # as %23"),
    ("PG_CONN_STR", "postgres://user:12/s3cr3t@host/database", "write # as %23"),
    ("PG_CONN_STR", "postgres://user:12?s3cr3t@host/database", "write # as %23"),
    ("PG_CONN_STR", "postgres://user:s3cr3t@s3cr3t@host/database", "write # as %23"),
    ("PG_CONN_STR", "postgres://user:s3cr3t%s3cr3t@host/database", "write # as %23"),
    ("PG_CONN_STR", "postgres://user:s3cr3t s3cr3t@host/database", "write # as %23"),
    ("PG_CONN_STR", "postgres://user:s3cr3t@host:port/database", "write # as %23"),
    ("PG_CONN_STR", "postgres://", "write # as %23"),
    ("VAULT_ADDR", "https://s3cr3t.example.org/v1", "remove /v1"),
    ("VAULT_ADDR", "s3cr3t.example.org", "VAULT_ADDR is not a valid URL"),
    ("VAULT_TOKEN", "export VAULT_TOKEN=hvs.s3cr3t", "VAULT_TOKEN contains characters"),
    ("MAX_CHANGES", "-1", "MAX_CHANGES must be a number"),
    ("NIGHTLY", "no", "NIGHTLY must be on or off"),
    ("PARALLELISM", "0", "PARALLELISM must be a number of machines, at least 1"),
    ("SSH_TIMEOUT", "5m", "SSH_TIMEOUT must be a number of seconds"),
    ("PROXMOX_VE_INSECURE", "yes", "PROXMOX_VE_INSECURE must be true or false"),
    ("K3S_INSTALL_SHA256", "sha256:0a", "K3S_INSTALL_SHA256 must be a SHA-256 checksum"),
    ("K3S_VERSION", "1.34.4", "K3S_VERSION must be a release"),
    ("K3S_INSTALL_URL", "get.k3s.io", "K3S_INSTALL_URL must be an address"),
    ("CHART_MIRROR", "mirror.lan/charts", "CHART_MIRROR must be an address"),
    ("CHART_MIRROR", "https://me:s3cr3t@mirror.lan/charts", "an address without a password"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_what_is_not(run, name, value, said):
    code, out, err = run(**{name: value})
    assert (code, out, err.count("\n")) == (1, "", 1) and said in err


def test_vault_without_tls_is_a_warning(run):
    code, _, err = run(VAULT_ADDR="http://vault.example.org:8200")
    assert (code, err.startswith("warning: VAULT_ADDR begins with http://")) == (0, True)


def test_keys(run, keys):
    crlf = "\r\n".join(keys["pem"].splitlines())
    for good in (keys["pem"], crlf, f"\n\n{keys['ed25519'].strip()}"):
        assert run(SSH_PRIVATE_KEY=good, DEPLOY_KEY=good)[0] == 0
    for bad, said in {
        keys["public"]: "is a public key; set the private key",
        keys["locked"]: "has a passphrase, which nobody can type",
        keys["ed25519"].replace("\n", " "): "is not a private key; set the whole file",
        keys["ed25519"][:200]: "is not a private key",
        "none of all": "is not a private key",
    }.items():
        code, _, err = run(SSH_PRIVATE_KEY=bad, DEPLOY_KEY=bad)
        assert code == 1 and f"SSH_PRIVATE_KEY {said}" in err and f"DEPLOY_KEY {said}" in err


def test_each_setting_has_a_form():
    names = [setting.name for setting in table.SETTINGS]
    assert sorted(names) == sorted([*forms.PATTERNS, *forms.FUNCTIONS])


def test_the_scripts_need_no_package():
    """They run before the environment is there; look_for_machines.py where none is."""
    for script in ("check_secrets", "look_for_machines"):
        program = [sys.executable, "-S", ROOT / "scripts" / f"{script}.py", "--help"]
        assert subprocess.run(program, capture_output=True, check=False, cwd="/").returncode == 0


@pytest.mark.parametrize(
    ("file", "text"),
    [("vms/k8s-dev.yaml", "x"), ("vms/k8s-dev.yml", ""), ("vms/more/web.yaml", ""), ("new_hosts.txt", "1.2.3.4,x"),
     ("k8s.ini", "web ansible_host=1.2.3.4\n"), ("k8s.ini", "[broken\n")],
)  # fmt: skip
def test_a_repository_without_machines_is_told_what_comes_next(
    run, capsys, monkeypatch, tmp_path, file, text
):
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    (tmp_path / "k8s.ini").write_text("[k3s]\n# nothing\n")
    (tmp_path / "new_hosts.txt").write_text("# nothing\n")
    (tmp_path / "vms/.keep").touch()
    assert look_for_machines.main([]) == 0
    assert "There is no machine yet" in capsys.readouterr().err
    assert (tmp_path / "output").read_text() == "no_workspaces=true\nnone=true\n"
    assert "docs/install.md" in (tmp_path / "summary").read_text()
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    assert look_for_machines.main([]) == 0
    assert capsys.readouterr().out == "there are machines\n"
    assert (tmp_path / "output").read_text().count("none=true\n") == 1


def test_a_machine_whose_file_is_gone_may_be_left_in_terraforms_state(run, capsys, monkeypatch, tmp_path):
    """Its making failed before it reached the inventory, and a push that removes it must reach Terraform."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    for name, found in (("boot-server", "There is no machine yet"), ("k8s-dev", "there are machines")):
        path = tmp_path / f"vms/{name}.yaml"
        path.touch()
        subprocess.run([*git, "add", "-A", "."], check=True)
        subprocess.run([*git, "commit", "-qm", "add"], check=True)
        path.unlink()
        subprocess.run([*git, "add", "-A", "."], check=True)
        subprocess.run([*git, "commit", "-qm", "remove"], check=True)
        assert look_for_machines.main([]) == 0
        said = capsys.readouterr()
        assert found in said.out + said.err


def test_as_json(run, capsys):
    assert run("--format", "json", MAX_CHANGES="x")[0] == 1
    check_secrets.main(["--format", "json"])
    assert json.loads(capsys.readouterr().err)[0]["message"].startswith("MAX_CHANGES")
