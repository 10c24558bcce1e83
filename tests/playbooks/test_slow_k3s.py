"""The role k3s on machines that have a Kubernetes already: what somebody else installed or set is not overwritten.

The tests build on each other in their order: one machine, on which K3s is installed by hand and then taken over.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import user, vault
from tests.helpers.plays import Machine, Play, inventory, running

K8S = Machine("k8s-hand", "192.168.1.25", 125, {"scsi1": "/mnt/storage"})
INSTALL = "curl -sf http://192.168.1.1:8080/install.sh | sudo"
SERVICE = "/etc/systemd/system/k3s.service"


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Iterator[Path]:
    with running(tmp_path_factory.mktemp("k3s"), [K8S]) as made:
        yield made


def play(home: Path, *options: str, **env: str) -> Play:
    return Play(home, "k8s", K8S.name, *options, **env)


def installed(home: Path, *options: str, **env: str) -> Play:
    """Without disks and kubeconfig, which take most of the play's time."""
    return play(home, "--tags=k3s_install", *options, **env)


def handed_over(home: Path) -> Play:
    """Without disks and installation."""
    return play(home, "--tags=k3s_kubeconfig", **NEWEST)


def seen() -> str:
    """Every file that installing K3s writes, and whether it runs."""
    return K8S.ssh(
        "sudo find /etc/rancher /etc/systemd/system /usr/local/bin -type f -exec sha256sum {} + | sort;"
        " systemctl show k3s -P ExecStart -P ActiveState -P MainPID; sudo ls -ld /var/lib/rancher/k3s/server",
        check=False,
    )


def refused(home: Path, *options: str, **env: str) -> str:
    before = seen()
    said = play(home, *options, **env).refused()
    assert seen() == before
    return said


UNIT = "printf '[Service]\\nExecStart=/bin/sleep 9999\\n' | sudo tee /etc/systemd/system/{0}.service;"
UNIT += " sudo systemctl daemon-reload; sudo systemctl start {0}"
GONE = "sudo systemctl stop {0}; sudo rm /etc/systemd/system/{0}.service; sudo systemctl daemon-reload"
CONFIG = "sudo mkdir -p /etc/rancher/k3s; printf '{}\\n' | sudo tee /etc/rancher/k3s/config.yaml"

# name: what is on a machine without K3s, how it goes away again, what the refusal says
BEFORE = {
    "agent": (UNIT.format("k3s-agent"), GONE.format("k3s-agent"), "It has another Kubernetes: the service k3s-agent."),
    "other-name": (UNIT.format("k3s-edge"), GONE.format("k3s-edge"), "the service k3s-edge."),
    "kubeadm": (UNIT.format("kubelet"), GONE.format("kubelet"), "the service kubelet."),
    "masked": ("sudo systemctl mask k3s", "sudo systemctl unmask k3s", "Somebody masked k3s.service"),
    "joins": (
        CONFIG.format('server: https://192.168.1.99:6443'), "sudo rm -r /etc/rancher",
        "config.yaml names a server to join, so K3s is a member of another cluster",
    ),
    "config": (
        CONFIG.format('disable: [traefik]\\n"tls-san":\\n- a\\ntoken: secret-value'), "sudo rm -r /etc/rancher",
        "/etc/rancher/k3s/config.yaml (or config.yaml.d) sets disable, tls-san, token, and this role did not write it.",
    ),
    "foreign-binary": (
        "printf '#!/bin/sh\\necho edge build' | sudo tee /usr/local/bin/k3s; sudo chmod +x /usr/local/bin/k3s",
        "sudo rm /usr/local/bin/k3s", "/usr/local/bin/k3s tells no version of a K3s release (edge build)",
    ),
    "port": (
        "sudo systemd-run -q --unit=by-hand python3 -m http.server 6443", "sudo systemctl stop by-hand",
        'Port 6443 is in use by (("python3",',
    ),
    "no-downloader": (
        "sudo mv /usr/bin/curl /usr/bin/curl.away", "sudo mv /usr/bin/curl.away /usr/bin/curl",
        "It has neither curl nor wget",
    ),
    "full": (
        "sudo mount -t tmpfs -o size=10M full /var/lib", "sudo umount /var/lib",
        "Its disk is full: 10 MiB left in /var/lib, and the installation needs 200 MiB.",
    ),
    "environment": (
        f"echo K3S_DATASTORE_ENDPOINT=secret-value | sudo tee {SERVICE}.env", f"sudo rm {SERVICE}.env",
        "k3s.service.env sets K3S_DATASTORE_ENDPOINT, and the install script would write it without them.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BEFORE)
def test_a_machine_that_somebody_prepared(case: str, home: Path):
    made, gone, said = BEFORE[case]
    K8S.ssh(made)
    try:
        text = refused(home, "--tags=k3s")
    finally:
        K8S.ssh(gone)
    assert said in text
    assert "secret-value" not in text


def test_arguments_of_a_person_are_named(home: Path):
    assert Play(home, "k8s", K8S.name, "--tags=storage").changed() > 0
    K8S.ssh(f"{INSTALL} sh -s - server --disable traefik --tls-san=my.name")
    # A secret among them is not shown; K3s itself does not run with this one.
    K8S.ssh(
        f"sudo sed -i \"s|'server'|& --etcd-s3-secret-key=secret-value|\" {SERVICE}; sudo systemctl daemon-reload"
    )
    said = refused(home, "--tags=k3s_install")
    K8S.ssh(f"sudo sed -i 's| --etcd-s3-secret-key=secret-value||' {SERVICE}; sudo systemctl daemon-reload")
    assert (
        "installed with --etcd-s3-secret-key=... --disable=traefik --tls-san=my.name, which this role did"
        in said
    )
    assert "k3s_take_over=true" in said
    assert "secret-value" not in said


@pytest.mark.parametrize("argument", ["--cluster-cidr=10.50.0.0/16", "--service-cidr 10.51.0.0/16"])
def test_where_the_data_is_is_never_taken_over(argument: str, home: Path):
    K8S.ssh(f"sudo sed -i \"s|'server'|'server' {argument}|\" {SERVICE}; sudo systemctl daemon-reload")
    said = refused(home, "--tags=k3s_install", "-e", "k3s_take_over=true")
    assert (
        f"K3s was installed with {re.split('[ =]', argument)[0]}, which this role did not set and which decides"
        in said
    )
    K8S.ssh(f"sudo sed -i 's| {argument}||' {SERVICE}; sudo systemctl daemon-reload")


def test_what_stays_is_given_to_the_role(home: Path):
    """All arguments that the person set: nothing is lost, so nobody has to say that it may be."""
    keep = '{"k3s_extra_args": ["--disable=traefik"], "k3s_tls_sans": ["my.name"]}'
    assert play(home, "-e", keep).changed() > 0
    assert "--disable=traefik" in K8S.ssh("systemctl show k3s -P ExecStart")
    assert installed(home, "-e", keep).changed() == 0
    # Now they are the role's own, to be changed by it.
    assert installed(home).changed() > 0
    assert "traefik" not in K8S.ssh("systemctl show k3s -P ExecStart")


def test_taken_over_when_said_so(home: Path):
    K8S.ssh("sudo k3s-uninstall.sh 2>/dev/null")
    K8S.ssh(f"{INSTALL} sh -s - server --disable=traefik; {CONFIG.format('disable: [servicelb]')}")
    said = refused(home, "--tags=k3s_install")
    assert "--disable=traefik" in said and "config.yaml (or config.yaml.d) sets disable" in said
    service = K8S.ssh(f"cat {SERVICE}")
    (home / "k8s.ini").write_text(inventory([K8S], "k3s_take_over=true"))
    taken = play(home)
    assert taken.changed() > 0
    assert "kept as /etc/systemd/system/k3s.service.2" in taken.output
    assert K8S.ssh(f"cat {SERVICE}.2*") == service
    assert "traefik" not in K8S.ssh("systemctl show k3s -P ExecStart")
    assert K8S.ssh("sudo cat /etc/rancher/k3s/config.yaml") == "disable: [servicelb]"
    (home / "k8s.ini").write_text(inventory([K8S]))
    assert play(home).changed() == 0


def test_a_newer_version_stays(home: Path):
    """As system-upgrade-controller does it: another binary, and the process is ended."""
    K8S.ssh(
        "sudo sed -i \"s/^VERSION=.*/VERSION='v1.35.0+k3s2'/\" /usr/local/bin/k3s; sudo systemctl kill k3s"
    )
    for version in ("v1.34.9+k3s9", "v1.35.0-rc1+k3s3", "v1.35.0+k3s1"):
        kept = installed(home, K3S_VERSION=version)
        assert kept.changed() == 0
        assert f"has K3s v1.35.0+k3s2, newer than k3s_version {version}: it stays" in kept.output
    # Changed arguments, and still the version that is there.
    assert installed(home, "-e", '{"k3s_tls_sans": ["more"]}').changed() > 0
    assert "v1.35.0+k3s2" in K8S.ssh("k3s --version")
    assert installed(home, K3S_VERSION="v1.35.0+k3s3").changed() > 0
    assert "v1.35.0+k3s3" in K8S.ssh("k3s --version")


NEWEST = {"K3S_VERSION": "v1.35.0+k3s3"}


def test_a_stopped_k3s_is_started(home: Path):
    K8S.ssh("sudo systemctl disable --now -q k3s")
    assert installed(home, **NEWEST).changed() == 1
    assert K8S.ssh("systemctl is-enabled k3s; systemctl is-active k3s") == "enabled\nactive"


def test_k3s_waits_for_its_disk(home: Path):
    """With a unit of the mount, as systemd makes it from fstab where it sees the disks."""
    assert "/mnt/storage" in K8S.ssh("systemctl show k3s -P RequiresMountsFor")
    unit = "/etc/systemd/system/mnt-storage.mount"
    K8S.ssh("sudo systemctl stop k3s; sudo umount /mnt/storage;"
        f" printf '[Mount]\\nWhat=late\\nWhere=/mnt/storage\\nType=no-such\\n' | sudo tee {unit};"
        " sudo systemctl daemon-reload")  # fmt: skip
    assert "Dependency failed" in K8S.ssh(
        "sudo systemctl start k3s 2>&1; sudo journalctl -u k3s -n 3", check=False
    )
    assert K8S.ssh("systemctl is-active k3s", check=False) == "inactive"
    assert K8S.ssh("ls /mnt/storage") == ""
    K8S.ssh(f"sudo rm {unit}; sudo systemctl daemon-reload")
    # fstab has the disk and it is not mounted: without the role storage nothing is written beside it.
    assert "/etc/fstab mounts a disk at /mnt/storage, and it is not mounted" in refused(
        home, "--tags=k3s", **NEWEST
    )
    assert play(home, **NEWEST).changed() > 0


def test_a_firewall_is_named_when_the_api_does_not_answer(home: Path):
    """The service of firewalld, and an address at which nobody answers, as behind its default rules."""
    K8S.ssh(UNIT.format("firewalld"))
    away = {"k3s_api_address": "192.168.1.99", "k3s_api_timeout": 2, "k3s_take_over": True}
    silent = play(home, "--tags=k3s_kubeconfig", "-e", json.dumps(away), **NEWEST)
    K8S.ssh(GONE.format("firewalld"))
    assert silent.code == 2
    said = "A firewall in k8s-hand may block port 6443; this opens it: firewall-cmd --permanent --add-port=6443/tcp"
    assert said in " ".join(silent.output.split())


TLS = "/var/lib/rancher/k3s/server/tls"
# A certificate with few days left, in the kubeconfig too.
OLD = f"""cd {TLS}
echo extendedKeyUsage=clientAuth >/tmp/ext
openssl req -new -key client-admin.key -subj /O=system:masters/CN=system:admin -out /tmp/csr
openssl x509 -req -in /tmp/csr -CA client-ca.crt -CAkey client-ca.key -set_serial 7 -days {{0}} \\
 -extfile /tmp/ext -out client-admin.crt
sed -i "s|\\(client-certificate-data:\\) .*|\\1 $(base64 -w0 client-admin.crt)|" /etc/rancher/k3s/k3s.yaml"""


@pytest.mark.parametrize(("days", "restarted"), [(100, False), (89, True), (1, True)])
def test_a_certificate_that_ends_is_renewed(days: int, restarted: bool, home: Path):
    K8S.ssh(f"sudo sh -ec '{OLD.format(days)}'")
    before = K8S.ssh("systemctl show k3s -P MainPID")
    renewed = handed_over(home)
    assert renewed.changed() > 0  # Vault has what the machine has, in each case
    assert (K8S.ssh("systemctl show k3s -P MainPID") != before) is restarted
    assert ("more days. K3s makes new ones when it starts" in " ".join(renewed.output.split())) is restarted
    assert user.kubectl(K8S.name, "get", "--raw", "/readyz") == "ok"
    left = K8S.ssh(f"sudo openssl x509 -checkend {86400 * 91} -in {TLS}/client-admin.crt", check=False)
    assert left == "Certificate will not expire"
    assert handed_over(home).changed() == 0


def test_workloads_log_in_at_vault(home: Path):
    user.kubectl(K8S.name, "create", "namespace", "external-secrets")
    inside = (K8S.name, "-n", "external-secrets", "create")
    user.kubectl(*inside, "serviceaccount", "external-secrets")
    login = {
        "role": "external-secrets",
        "jwt": user.kubectl(*inside, "token", "external-secrets", "--audience=vault"),
    }
    found = vault.request("POST", f"auth/clusters/{K8S.name}/login", login)["auth"]
    assert found["policies"] == ["workloads"]
    vault.request("DELETE", f"sys/auth/clusters/{K8S.name}")
    old = vault.POLICY.partition('path "sys/auth')[0]  # of before there were workloads
    vault.request("PUT", "sys/policies/acl/old", {"policy": old})
    asked = {"policies": ["old"], "no_parent": True}
    token = vault.request("POST", "auth/token/create", asked)["auth"]["client_token"]
    without = Play(home, "renew", K8S.name, **NEWEST | {"VAULT_TOKEN": token})
    assert without.changed() == 0 and "the token may not register k8s-hand: it lacks" in without.output
    assert Play(home, "renew", K8S.name, **NEWEST).changed() == 1  # this alone


def test_the_nightly_playbook_renews_and_changes_nothing_else(home: Path):
    assert Play(home, "renew", K8S.name, **NEWEST).changed() == 0
    K8S.ssh(f"sudo sh -ec '{OLD.format(50)}'")
    assert Play(home, "renew", K8S.name, **NEWEST).changed() > 0
    left = K8S.ssh(f"sudo openssl x509 -checkend {86400 * 91} -in {TLS}/client-admin.crt", check=False)
    assert left == "Certificate will not expire"
    assert user.kubectl(K8S.name, "get", "--raw", "/readyz") == "ok"
    K8S.ssh("sudo systemctl stop k3s")
    assert Play(home, "renew", K8S.name, **NEWEST).changed() == 0
    assert K8S.ssh("systemctl is-active k3s", check=False) == "inactive"
    K8S.ssh("sudo systemctl start k3s")
