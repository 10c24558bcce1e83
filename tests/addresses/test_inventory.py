"""The lines of role-made machines, from one run to the next, against a real HTTPS server."""

import pytest

import generate_inventory
from fleet.addresses import inventory, lines
from fleet.addresses.inventory import Role
from fleet.addresses.machines import Machine
from fleet.ansible.inventory import parse
from fleet.findings import Fault
from fleet.proxmox.guest import guest
from tests.addresses.test_agent import card
from tests.helpers.https_server import certificate, serving

OK = (200, "OK")
SILENT = (500, "QEMU guest agent is not running", {})
OFFLINE = (595, "No route to host", {})
TAKEN = {"192.168.1.20": "that of k8s-dev (proxmox/vms/k8s-dev.yaml:5)"}


def mac(vmid: int) -> str:
    return f"BC:24:11:00:{vmid // 100:02X}:{vmid % 100:02X}"


def machine(
    vmid: int, name: str, address: str = "", /, agent=None, status: str = "running", entry=None, **config
):
    """What Proxmox says of one machine: its entry in the list and the answers of its paths."""
    own = {
        "name": name,
        "net0": f"virtio={mac(vmid)},bridge=vmbr0",
        "agent": "1",
        "ciuser": "ubuntu",
    } | config
    told = (*OK, {"data": {"result": [card(f"{address}/24", mac=mac(vmid))] if address else []}})
    listed = {
        "vmid": vmid,
        "name": name,
        "node": "node01",
        "type": "qemu",
        "status": status,
        "tags": "ansible",
    }
    path = f"nodes/node01/qemu/{vmid}"
    return (
        listed | (entry or {}),
        {f"{path}/config": (*OK, {"data": own}), f"{path}/agent/network-get-interfaces": agent or told},
    )


def line(vmid: int, name: str, address: str, user: str = "ubuntu", **config) -> lines.Line:
    own = {"name": name, "net0": f"virtio={mac(vmid)},bridge=vmbr0", "ciuser": user} | config
    return lines.line(name, address, vmid, mac(vmid), own)


@pytest.mark.parametrize("name", ["by-hand", "k3s", "web-2"])
def test_a_name_of_the_fleet_s_inventory_is_not_written(name):
    """Where Ansible is given both files, the later one's address counts for that host."""
    fleet = parse("[k3s]\nby-hand ansible_host=192.168.1.9\nweb-[1:3]\n")
    one = Machine(guest({"vmid": 500, "node": "node01"}), {"name": name, "tags": "ansible"})
    with pytest.raises(Fault, match=r"k8s.ini has a host or a group of that name"):
        generate_inventory._made(fleet, one)
    assert generate_inventory._made(fleet, one._replace(config={"name": "app", "tags": "ansible"}))


class Made:
    """The role's view of a machine; `unfinished`: names of machines whose creation was cut off."""

    def __init__(self, strangers=(), unfinished=()):
        self.strangers, self.unfinished = strangers, unfinished

    def __call__(self, found) -> bool:
        if found.name in self.unfinished:
            raise Fault("its creation was cut off")
        return found.name not in self.strangers


@pytest.fixture
def now(tmp_path, use):
    """The lines as (name, address) and the findings' text after these machines were asked; and what was asked."""
    pem = certificate(tmp_path)

    def it(machines, old=(), made=None, free=None, **answers):
        asked: list = []
        answers = {f"nodes/{key}": value for key, value in answers.items()}
        for _, more in machines:
            answers = more | answers
        answers["cluster/resources"] = (*OK, {"data": [entry for entry, _ in machines]})
        if free is not None:
            answers["cluster/nextid"] = (
                (*OK, {"data": str(free)}) if free else (400, "Parameter", {"errors": {"vmid": "VM exists"}})
            )
        with serving(pem, answers, asked) as endpoint:
            found = inventory.now(
                use(endpoint, pem), {one.vmid: one for one in old}, Role("ansible", made or Made()), TAKEN
            )
        text = sorted(finding.text() for finding in found.findings)
        return found, text, [path for _, path, _ in asked]

    return it


def shown(found) -> list[tuple[str, str]]:
    return sorted((one.name, one.address) for one in found.lines.values())


A, B = line(501, "a", "10.0.0.1"), line(502, "b", "10.0.0.2")
STATIC = {"ipconfig0": "ip=10.0.0.9/24,gw=10.0.0.254"}


@pytest.mark.parametrize(
    ("machines", "old", "expected", "said"),
    [
        pytest.param([machine(501, "a", "10.0.0.1")], [], [("a", "10.0.0.1")], [], id="a new machine"),
        pytest.param([machine(501, "a", "10.0.0.7")], [A], [("a", "10.0.0.7")], [], id="another address"),
        pytest.param([machine(501, "c", "10.0.0.1")], [A], [("c", "10.0.0.1")], [], id="another name"),
        pytest.param([machine(501, "a", agent=SILENT)], [A], [("a", "10.0.0.1")],
                     ["guest agent does not run; the template must contain qemu-guest-agent; its line keeps 10.0.0.1"],
                     id="a silent machine keeps its line"),
        pytest.param([machine(501, "c", agent=SILENT)], [A], [("c", "10.0.0.1")], ["its line keeps"],
                     id="its line moves along with a new name"),
        pytest.param([machine(501, "a", agent=SILENT)], [], [],
                     ["it has no line until its address is known"], id="a new silent machine"),
        pytest.param([machine(501, "a", agent=(500, "VM 501 is not running", {}), status="stopped")], [], [],
                     ["warning: a (VMID 501 on node01): the machine does not run; start it; it has no line"],
                     id="a new machine that does not run"),
        pytest.param([machine(501, "a", agent=SILENT, **STATIC)], [], [("a", "10.0.0.9")], [],
                     id="a static address needs no agent"),
        pytest.param([machine(501, "a", "10.0.0.1", **STATIC)], [A], [("a", "10.0.0.9")], [],
                     id="nor may the agent claim another one"),
        pytest.param([machine(501, "a", agent=SILENT, ipconfig0="ip6=2001:db8::9/64")], [], [("a", "2001:db8::9")], [],
                     id="a static IPv6 address"),
        pytest.param([machine(501, "a", "10.0.0.1", ipconfig0="ip=dhcp,ip6=2001:db8::9/64")], [], [("a", "10.0.0.1")],
                     [], id="IPv4 by DHCP beside it"),
        pytest.param([machine(501, "a", agent=SILENT, net0=f"virtio={mac(777)},bridge=vmbr0")], [A], [],
                     ["it has no line until its address is known"], id="another machine of that VMID and name"),
        pytest.param([machine(501, "a", "10.0.0.1"), machine(502, "b", "10.0.0.1")], [], [],
                     ["a (VMID 501 on node01) has 10.0.0.1, which b (VMID 502 on node01) has too; so it is not used",
                      "b (VMID 502 on node01) has 10.0.0.1, which a (VMID 501 on node01) has too; so it is not used"],
                     id="two tell one address"),
        pytest.param([machine(501, "a", "10.0.0.1"), machine(502, "b", "10.0.0.1")], [A, B],
                     [("a", "10.0.0.1"), ("b", "10.0.0.2")], ["a (VMID 501", "b (VMID 502"],
                     id="two tell one address and each keeps its line"),
        pytest.param([machine(501, "a", agent=SILENT), machine(502, "b", "10.0.0.1")], [A], [("a", "10.0.0.1")],
                     ["b (VMID 502 on node01) has 10.0.0.1, which is the last one of a (VMID 501 on node01), whose",
                      "its line keeps 10.0.0.1"], id="the last address of a silent machine"),
        pytest.param([machine(501, "a", "10.0.0.2"), machine(502, "b", "10.0.0.1")], [A, B],
                     [("a", "10.0.0.2"), ("b", "10.0.0.1")], [], id="two that swapped their addresses"),
        pytest.param([machine(501, "a", "192.168.1.20")], [A], [("a", "10.0.0.1")],
                     ["has 192.168.1.20, which is that of k8s-dev (proxmox/vms/k8s-dev.yaml:5); so it is not used"],
                     id="an address of the fleet"),
        pytest.param([machine(501, "a", "10.0.0.1"), machine(502, "a", "10.0.0.2")], [A], [("a", "10.0.0.1")],
                     ["a (VMID 501 on node01) and a (VMID 502 on node01) have one name, so no line changes",
                      "a (VMID 502 on node01) and a (VMID 501 on node01) have one name"], id="two of one name"),
        pytest.param([machine(501, "a", "10.0.0.1", ciuser="x y")], [], [("a", "10.0.0.1")],
                     ["warning: a (VMID 501 on node01): its user x y cannot stand in an inventory"], id="a user"),
        pytest.param([machine(501, "all", "10.0.0.1")], [], [], ["its name cannot stand in an inventory"], id="all"),
        pytest.param([machine(501, "a[1:9]", "10.0.0.1")], [], [], ["its name cannot stand"], id="a range"),
        pytest.param([machine(501, "a", "10.0.0.1", entry={"template": 1})], [], [], [], id="a template"),
        pytest.param([machine(501, "a", "10.0.0.1", entry={"type": "lxc"})], [], [], [], id="a container"),
        pytest.param([machine(501, "a", "10.0.0.1", entry={"tags": "terraform"})], [], [], [], id="another's"),
        pytest.param([machine(501, "a", "10.0.0.1", entry={"tags": ""})], [A], [("a", "10.0.0.1")], [],
                     id="without its tag it keeps its line, since the role knows it"),
        pytest.param([machine(501, "a", entry={"status": "unknown", "node": "node02"})], [A], [("a", "10.0.0.1")],
                     ["warning: a (VMID 501 on node02): node node02 does not answer; its line keeps 10.0.0.1"],
                     id="a node that is offline"),
    ],
)  # fmt: skip
def test_the_lines(now, machines, old, expected, said):
    found, text, _ = now(machines, old)
    assert shown(found) == expected
    assert len(text) == len(said)
    assert all(words in one for words, one in zip(sorted(said), text, strict=True)) or sorted(text) == sorted(
        said
    )


@pytest.mark.parametrize(
    ("free", "expected"), [(501, []), (0, [("a", "10.0.0.1")])], ids=["gone", "not seen"]
)
def test_absence_is_not_proof(now, free, expected):
    """The token may not see the machine; that its VMID is free is what says that it is gone."""
    found, text, asked = now([], [A], free=free)
    assert shown(found) == expected
    assert asked == ["cluster/resources", "cluster/nextid"]
    if expected:
        assert (
            "a: the token does not see VMID 501, which is in use; its line keeps 10.0.0.1; give the token"
            in text[0]
        )


def test_an_address_of_a_machine_that_is_not_seen_is_not_given_away(now):
    found, text, _ = now([machine(502, "b", "10.0.0.1")], [A], free=0)
    assert shown(found) == [("a", "10.0.0.1")]
    assert "b (VMID 502 on node01) has 10.0.0.1, which is that of a (VMID 501) in this file" in text[0]


def test_what_is_no_longer_the_roles_loses_its_line(now):
    found, text, _ = now([machine(501, "a", "10.0.0.1")], [A], Made(strangers=["a"]))
    assert shown(found) == []
    said = "warning: a (VMID 501 on node01) is not the role's by its name, tags and description; its line is removed"
    assert text == [said]


def test_a_machine_that_is_not_finished_gets_no_line(now):
    found, text, _ = now([machine(501, "a", "10.0.0.1")], [], Made(unfinished=["a"]))
    assert shown(found) == []
    assert "a (VMID 501 on node01): its creation was cut off; it has no line" in text[0]


def test_a_configuration_that_the_token_may_not_read_takes_no_line(now):
    refused = {"node01/qemu/501/config": (403, "Permission check failed (/vms/501, VM.Audit)", {})}
    found, text, _ = now([machine(501, "a", "10.0.0.1")], [A], **refused)
    assert shown(found) == [("a", "10.0.0.1")]
    assert "403 Permission check failed (/vms/501, VM.Audit)" in text[0]


def test_only_machines_that_run_are_met(now):
    silent = {"agent": (500, "VM 502 is not running", {}), "status": "stopped"}
    found, *_ = now([machine(501, "a", "10.0.0.1"), machine(502, "b", **silent, **STATIC)])
    assert (sorted(found.lines), found.running) == ([501, 502], {501})


@pytest.mark.parametrize("count", [1, 20])
def test_the_calls(now, count):
    """One for the list, two for each of the role's machines, one where the address is static, none for others."""
    fixed = [
        machine(vmid, f"s{vmid}", ipconfig0=f"ip=10.9.0.{vmid - 800}/24") for vmid in range(801, 801 + count)
    ]
    others = [machine(vmid, f"x{vmid}", entry={"tags": "terraform"}) for vmid in range(600, 610)]
    mine = [machine(vmid, f"a{vmid}", f"10.0.0.{vmid - 700}") for vmid in range(701, 701 + count)]
    _, text, asked = now([*others, *mine, *fixed])
    assert (text, len(asked)) == ([], 1 + 2 * count + count)


def test_the_text():
    written = lines.render({502: B, 501: A}, "vms.known_hosts")
    assert written.splitlines()[3:5] == [A.text, B.text]
    assert A.text.startswith(
        "a ansible_host=10.0.0.1 ansible_user=ubuntu  # vmid=501 mac=BC:24:11:00:05:01 instance="
    )
    assert lines.read(written, "f") == {501: A, 502: B}
    assert lines.render(lines.read(written, "f"), "vms.known_hosts") == written
    assert lines.read("", "f") == {}


def test_a_line_without_a_user():
    one = line(501, "a", "2001:db8::1", "")
    assert "ansible_user" not in one.text
    assert lines.read(lines.render({501: one}, "k"), "f")[501] == one


@pytest.mark.parametrize("text", ["[web]\na ansible_host=10.0.0.1\n", "# mine\n"])
def test_a_file_of_somebody_else_is_refused(text):
    with pytest.raises(
        Fault, match=r"was not written by generate_inventory\.py, which would replace it; move it"
    ):
        lines.read(text, "f")


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"memory": "4096"}, True),
        ({"tags": "a"}, True),
        ({"net0": f"virtio={mac(501)},bridge=vmbr1"}, True),
        ({"name": "b"}, False),
        ({"ciuser": "root"}, False),
        ({"sshkeys": "x"}, False),
        ({"ipconfig0": "ip=10.0.0.1/24"}, False),
        ({"net0": "virtio=BC:24:11:00:00:09,bridge=vmbr0"}, False),
        ({"net1": "virtio=BC:24:11:00:00:09,bridge=vmbr0"}, False),
    ],
    ids=str,
)
def test_the_instance_changes_with_what_cloud_init_gets(change, same):
    before = {"name": "a", "net0": f"virtio={mac(501)},bridge=vmbr0", "ciuser": "ubuntu"}
    assert (
        lines.line("a", "", 1, "", before).instance == lines.line("a", "", 1, "", before | change).instance
    ) is same
