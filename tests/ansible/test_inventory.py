"""The inventory editor: tables of examples, and properties that hold for any text."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fleet.ansible.edit import change
from fleet.ansible.groups import contradictions, without_parent
from fleet.ansible.groups import members as all_members
from fleet.ansible.host import Host
from fleet.ansible.inventory import INDIVIDUAL, parse
from fleet.names import PARENTS, group_of
from fleet.terraform.outputs import Machine

settings.register_profile("fleet", deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("fleet")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("k8s-a\nk8s-a\n", 2, "k8s-a is listed twice, first on line 1"),
        ("[k3s]\nk8s-a\n[x]\n[k3s]\nk8s-a", 5, "k8s-a is listed twice in [k3s], first on line 2"),
        ("[k3s]\nweb[1:3]\nweb2", 3, "web2 is listed twice in [k3s], first on line 2"),
        (
            "a ansible_host=1.1.1.1\n[x]\na ansible_host=1.1.1.2",
            3,
            "at 1.1.1.2 here, but at 1.1.1.1 on line 1",
        ),
        ("a ansible_host=1.1.1.1\n[x]\na ansible_host=1.1.1.1 # terraform", 3, "keep one of the two lines"),
        ("[a:children]\nb\n", 2, "[a:children] names b, a group that does not exist; add [b]"),
        ("[a:vars]\nx=1\n", 1, "[a:vars] is for a group that does not exist"),
        ("[a:children]\nb\n[b:children]\nc\n[c:children]\na\n", 6, "a > b > c > a"),
        ("[a:children]\na\n", 2, "groups contain each other: a > a"),
        ("[a:host]\n", 1, "[a:host] is not a section"),
        ("[a b]\n", 1, "[a b] is not a section"),
        ("[a]\n[a:vars]\nx\n", 3, "expected name=value below [a:vars]"),
        ("[a:children]\nb c\n[b]", 2, "expected a group's name below [a:children]"),
        ("k8s-a ansible_host\n", 1, "expected name=value after the host, got 'ansible_host'"),
        ("k8s-a note='never closed\n", 1, "a quote is never closed"),
        ("ansible_host=1.2.3.4\n", 1, "each line starts with the host's name"),
        ("---\nall:\n", 1, "is this a YAML file?"),
        ("web[3:1]", 1, "the range is empty"),
        ("web[01:3]", 1, "equally many digits"),
        ("web[1:2:0]", 1, "step is 0"),
        ("web[1-3]", 1, "a range is written [first:last]"),
        ("web[1:1000000000]", 1, "more than 100000 hosts"),
        ("web[1:1000][1:1000]", 1, "more than 100000 hosts"),
        ("web[1:99999999999999999999999]", 1, "more than 100000 hosts"),
        ("web[1:60000]\ndb[1:60000]", 2, "more than 100000 hosts"),
        ("k3s:\n", 1, "is this a YAML file?"),
        ("\ufeff[k3s]\n", 1, "byte order mark"),
        ("[k3s]\n<<<<<<< HEAD\nk8s-a\n", 2, "a merge conflict is not resolved here"),
        ("'' x=1", 1, "names no host"),
    ],
)
def test_findings(text, line, said):
    found = parse(text, "k8s.ini").findings
    assert [(finding.path, finding.line) for finding in found][:1] == [("k8s.ini", line)]
    assert said in found[0].message


def test_the_groups_that_always_exist():
    assert parse("[all:vars]\nx=1\n[ungrouped:vars]\nx=1\n[site:children]\nungrouped\n").findings == []


def test_a_circle_is_told_once():
    found = parse("[a:children]\nc\n[b:children]\nc\n[c:children]\nc\n").findings
    assert [finding.line for finding in found] == [6]


def test_all_problems_at_once():
    assert len(parse("a\na\nb c\n[x:y]\n[z:vars]\n[g:children]\nh\n").findings) == 5


@pytest.mark.parametrize(
    ("line", "names", "variables", "comment"),
    [
        ("web[01:03]", ("web01", "web02", "web03"), {}, ""),
        ("web[1:5:2].lan", ("web1.lan", "web3.lan", "web5.lan"), {}, ""),
        ("x[0:1]-[a:b]", ("x0-a", "x0-b", "x1-a", "x1-b"), {}, ""),
        ("web[1:1]", ("web1",), {}, ""),
        ("web[1:2]:22", ("web1", "web2"), {"ansible_port": "22"}, ""),
        ("; k8s-a", None, None, None),
        ("[0:1]x[a:b]", None, None, None),  # Ansible takes this for a section
        ("web:2222 a=1", ("web",), {"ansible_port": "2222", "a": "1"}, ""),
        ("[fe80::1]:22", None, None, None),  # Ansible takes this for a range
        ("k8s-a a='x # y' b=\"q\"  # note", ("k8s-a",), {"a": "x # y", "b": "q"}, "# note"),
        ("k8s-a\ta=b=c#x", ("k8s-a",), {"a": "b=c"}, "#x"),
        (r"k8s-a a=x\ y", ("k8s-a",), {"a": "x y"}, ""),
        ("k8s-a\u00a0b", None, None, None),
    ],
)
def test_host_lines(line, names, variables, comment):
    hosts = parse(line).hosts
    if names is None:
        assert not hosts
        return
    assert [(host.names, host.variables, host.comment) for host in hosts] == [(names, variables, comment)]


@pytest.mark.parametrize(
    ("text", "managed", "defines"),
    [
        ("k8s-a # terraform", True, True),
        ("[k3s]\nk8s-a #terraform mac=AA", True, True),
        ("k8s-a # terraformed by hand", False, True),
        ("k8s-a # not # terraform", False, True),
        ("k8s-[a:b] # terraform", False, True),
        ("[all]\nk8s-a", False, True),
        ("[k3s]\nk8s-a ansible_host=10.0.0.1", False, True),
        ("[k3s]\nk8s-a rack=7", False, False),
    ],
)
def test_whose_line_it_is(text, managed, defines):
    (host,) = parse(text).hosts
    assert (host.managed, host.defines) == (managed, defines)


A = Machine("10.0.0.1", "ops", "BC:24:11:00:00:01", "i1")
LINE = "k8s-a ansible_host=10.0.0.1 ansible_user=ops  # terraform mac=BC:24:11:00:00:01 instance=i1"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"# Individual hosts\n{LINE}\n\n[k3s]\nk8s-a\n"),
        ("[k3s]\n", f"# Individual hosts\n{LINE}\n\n[k3s]\nk8s-a\n"),
        ("[k3s]", f"# Individual hosts\n{LINE}\n\n[k3s]\nk8s-a"),
        ("# Individual hosts\r\n\r\n[k3s]\r\n", f"# Individual hosts\r\n{LINE}\r\n\r\n[k3s]\r\nk8s-a\r\n"),
        # The remarks above a section are its own.
        ("# mine\n\n# K3s\n[k3s]\n", f"# mine\n\n# Individual hosts\n{LINE}\n\n# K3s\n[k3s]\nk8s-a\n"),
        ("web\n\n; K3s\n[k3s]\n", f"web\n\n# Individual hosts\n{LINE}\n\n; K3s\n[k3s]\nk8s-a\n"),
        ("# mine\n", f"# mine\n\n# Individual hosts\n{LINE}\n\n[k3s]\nk8s-a\n"),
        ("# Individual hosts\n\n", f"# Individual hosts\n{LINE}\n\n[k3s]\nk8s-a\n"),
        ("web\n[k3s]\n", f"web\n\n# Individual hosts\n{LINE}\n\n[k3s]\nk8s-a\n"),
        # Under [k3s] the marker's lines would be members of k3s, a haproxy too.
        (
            "[k3s]\nk8s-b\n# Individual hosts\n",
            f"# Individual hosts\n{LINE}\n\n[k3s]\nk8s-b\nk8s-a\n# Individual hosts\n",
        ),
        ("[all]\n# Individual hosts\nx\n\n[k3s]", f"[all]\n# Individual hosts\nx\n{LINE}\n\n[k3s]\nk8s-a"),
        # Prefixes are other hosts; comments and variables between hosts stay.
        (
            "# Individual hosts\nk8s-a2 x=1\n# k8s-a was here\n\n[k3s]\nk8s-a2\n# end\n[k3s:vars]\nk8s-a=1\n",
            f"# Individual hosts\nk8s-a2 x=1\n{LINE}\n# k8s-a was here\n\n"
            "[k3s]\nk8s-a2\nk8s-a\n# end\n[k3s:vars]\nk8s-a=1\n",
        ),
        # A member through a range, or where a person wrote it, is one already.
        ("# Individual hosts\n[k3s]\nk8s-[a:c]\n", f"# Individual hosts\n{LINE}\n[k3s]\nk8s-[a:c]\n"),
        (
            "# Individual hosts\n[k3s:children]\nx\n[x]\n",
            f"# Individual hosts\n{LINE}\n[k3s:children]\nx\n[x]\n\n[k3s]\nk8s-a\n",
        ),
    ],
)
def test_add(before, after):
    text = change(parse(before), {"k8s-a": A})
    assert text == after
    assert not parse(text).findings
    assert change(parse(text), {"k8s-a": A}) == text


B = Machine("10.0.0.2", "root", "BC:24:11:00:00:02", "i2", {"scsi2": "/mnt/c", "scsi1": "/mnt/b"})
MARK = "# terraform mac=BC:24:11:00:00:02 instance=i2"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            LINE,
            f"k8s-a ansible_host=10.0.0.2 ansible_user=root disk_mounts=scsi1:/mnt/b,scsi2:/mnt/c  {MARK}",
        ),
        (
            "k8s-a  ansible_user=ops note='a # b'\tansible_host=1.1.1.1 rack=7 #terraform mac=AA rack 7 ",
            "k8s-a  ansible_user=root note='a # b'\tansible_host=10.0.0.2 rack=7"
            " disk_mounts=scsi1:/mnt/b,scsi2:/mnt/c # terraform instance=i2 mac=BC:24:11:00:00:02 rack 7 ",
        ),
        (
            "k8s-a # terraform",
            f"k8s-a ansible_host=10.0.0.2 ansible_user=root disk_mounts=scsi1:/mnt/b,scsi2:/mnt/c {MARK}",
        ),
        (
            "k8s-a ansible_host=10.0.0.2 ansible_user=root # terraform # terraform oldmac=AA mac=AA",
            "k8s-a ansible_host=10.0.0.2 ansible_user=root disk_mounts=scsi1:/mnt/b,scsi2:/mnt/c"
            " # terraform instance=i2 # terraform oldmac=AA mac=BC:24:11:00:00:02",
        ),
    ],
)
def test_update(before, after):
    text = change(parse(f"{before}\n[k3s]\nk8s-a\n"), {"k8s-a": B})
    assert text == f"{after}\n[k3s]\nk8s-a\n"
    assert change(parse(text), {"k8s-a": B}) == text
    without = change(parse(text), {"k8s-a": B._replace(mounts={})})
    assert "disk_mounts" not in without


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"# Individual hosts\n{LINE}\n[k3s]\nk8s-a\nk8s-ab\n", "# Individual hosts\n[k3s]\nk8s-ab\n"),
        (f"[k3s]\n{LINE}\nk8s-b", "[k3s]\nk8s-b"),
        (f"x\n{LINE}", "x"),
        (f"{LINE}\n[k3s]\n  k8s-a\t\nk8s-ab\n", "[k3s]\nk8s-ab\n"),
        (LINE, ""),
        (f"{LINE}\n[k3s]\nk8s-a rack=7\n[b]\nk8s-a # mine\nnas\n", "[k3s]\n[b]\nnas\n"),
        (f"{LINE}\n[k3s]\nk8s-[a:b]\n", "[k3s]\nk8s-[a:b]\n"),
        # What is not managed stays.
        ("k8s-a\n[k3s]\nk8s-[a:b]\n", "k8s-a\n[k3s]\nk8s-[a:b]\n"),
    ],
)
def test_drop(before, after):
    assert change(parse(before), {}, ["k8s-a"]) == after


CP, W = (f"{name} ansible_host=10.0.0.{end} ansible_user=ops  # terraform" for name, end in
         (("k8s-p-cp1", 1), ("k8s-p-w1", 2)))  # fmt: skip
BOTH = "[k3s:children]\nk3s_control_plane\nk3s_workers\n"
EMPTY = f"[k3s_control_plane]\n[k3s_workers]\n[k3s]\n{BOTH}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "",
            f"# Individual hosts\n{CP}\n{W}\n\n[k3s_control_plane]\nk8s-p-cp1\n\n[k3s_workers]\nk8s-p-w1\n\n{BOTH}",
        ),
        (
            f"{CP}\n{W}\n{EMPTY}",
            f"{CP}\n{W}\n[k3s_control_plane]\nk8s-p-cp1\n[k3s_workers]\nk8s-p-w1\n[k3s]\n{BOTH}",
        ),
        # Where an older inventory has them, beside a single machine; their lines keep what people wrote.
        (
            f"{CP}\n{W}\n[k3s]\nk8s-a\nk8s-p-cp1 rack=7 # left\nk8s-p-w1\n# end\n",
            f"{CP}\n{W}\n[k3s]\nk8s-a\n# end\n\n[k3s_control_plane]\nk8s-p-cp1 rack=7 # left\n\n"
            f"[k3s_workers]\nk8s-p-w1\n\n{BOTH}",
        ),
        # A managed line that stands in [k3s] itself; a file without a newline at its end.
        (f"{EMPTY}[k3s]\n{CP}\n{W}", f"[k3s_control_plane]\n{CP}\n[k3s_workers]\n{W}\n[k3s]\n{BOTH}[k3s]"),
        # A person's groups stay: members by hand, through a range, through a group between.
        (
            f"{CP}\n{W}\n[k3s_control_plane]\nk8s-p-cp1 # mine\n[k3s_workers]\nk8s-p-w[1:3]\n[k3s]\nk8s-p-cp1\n"
            "[k3s:children]\nedge\n[edge:children]\nk3s_control_plane\nk3s_workers\n",
        )
        * 2,
        # A remark below the heading, and the one group that is missing.
        (
            f"{CP}\n{W}\n[k3s_control_plane]\nk8s-p-cp1\n[k3s_workers]\nk8s-p-w1\n[k3s:children]\n# members\nx\n[x]\n",
            f"{CP}\n{W}\n[k3s_control_plane]\nk8s-p-cp1\n[k3s_workers]\nk8s-p-w1\n[k3s:children]\n# members\nx\n"
            "k3s_control_plane\nk3s_workers\n[x]\n",
        ),
    ],
)
def test_members_of_larger_clusters(before, after):
    machines = {
        "k8s-p-cp1": Machine("10.0.0.1", "ops", "", ""),
        "k8s-p-w1": Machine("10.0.0.2", "ops", "", ""),
    }
    assert not parse(before).findings
    text = change(parse(before), machines)
    assert text == after
    assert not parse(text).findings
    assert change(parse(text), machines) == text
    assert parse(text).members()["k3s"] >= machines.keys()


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[k3s_workers]\n# x\nk8s-p-cp1\n", 3, "k8s-p-cp1 is a control plane node of a K3s cluster and belongs into"
         " [k3s_control_plane], but this line is in [k3s_workers]; take it out"),
        ("[k3s_control_plane]\nk8s-p-w[1:9]\n", 2, "k8s-p-w1 is a worker of a K3s cluster and belongs into"),
        ("[talos_workers]\ntalos-p-cp1\n", 2, "talos-p-cp1 is a control plane node of a Talos cluster"),
        ("[k3s_workers]\nk8s-a\n", 2, "k8s-a is a single-node K3s cluster and belongs into [k3s]"),
        ("[k3s]\n[k3s_workers:children]\nk3s\n", 3, "[k3s_workers:children] has k3s here, but [k3s] must contain"
         " [k3s_workers]; take it out"),
        ("[x:children]\nk3s\n[k3s]\n[k3s_control_plane:children]\nx\n", 5, "[k3s_control_plane:children] has x here"),
        ("[k3s]\nk8s-p-cp1\nk8s-p-w1\n", 0, ""),
        ("[k3s_control_plane]\nk8s-p-cp1\n[k3s_workers]\nk8s-q-cp1\n", 0, ""),  # no machine of Terraform's
        ("[talos_workers]\nk8s-p-cp1\n", 0, ""),
    ],
)  # fmt: skip
def test_groups_that_contradict_a_name(text, line, said):
    inventory = parse(text)
    machines = {"k8s-p-cp1", "k8s-p-w1", "talos-p-cp1", "k8s-a"}
    found = contradictions(inventory.hosts, inventory.children, machines, "k8s.ini")
    assert [(one.path, one.line) for one in found] == ([("k8s.ini", line)] if line else [])
    assert said in "".join(one.message for one in found)


# Properties. Lines as people write them, and as nobody would.
NAMES = st.sampled_from(
    [
        "k8s-dev",
        "k8s-dev2",
        "k8s-prod-cp1",
        "k8s-prod-w1",
        "haproxy",
        "haproxy-x",
        "talos-eu-cp01",
        "talos-eu-w1",
        "db",
        "web1",
    ]
)
WORDS = st.sampled_from(
    ["x=1", "note='a # b'", 'q="c d"', "ansible_port=22", "  ", "\t", "# remark", "#", "\\ "]
)
LINES = st.one_of(
    st.builds(lambda name, words: " ".join([name, *words]), NAMES, st.lists(WORDS, max_size=3)),
    st.sampled_from(
        [
            "",
            "  ",
            "# Individual hosts",
            "; old",
            "[k3s]",
            "[haproxy]",
            "[talos_workers]",
            "[k3s_control_plane]",
            "[k3s_workers]",
            "[all]",
            "[ungrouped]",
        ]
    ),
    st.sampled_from(
        ["[site:children]", "k3s", "haproxy", "[k3s:vars]", "a = b", "web[01:03]", "db[a:c].lan", "é"]
    ),
    st.sampled_from(
        [
            "[k3s:children]",
            "site",
            "[site]",
            "k3s_workers",
            "[k3s_workers:children]",
            "\u2028",
            "\x0c",
            "[",
            "]",
            "---",
            "h:22",
            "[x:y]",
            "=",
            "'",
        ]
    ),
    st.text(max_size=12),
)
ENDS = st.sampled_from(["\n", "\r\n"])
TEXTS = st.builds(
    lambda lines, end, last: end.join(lines) + (end if last else ""),
    st.lists(LINES, max_size=14),
    ENDS,
    st.booleans(),
)
MACHINES = st.builds(
    Machine,
    st.integers(1, 254).map("10.0.0.{}".format),
    st.sampled_from(["ops", "root"]),
    st.sampled_from(["", "BC:24:11:00:00:01", "BC:24:11:00:00:02"]),
    st.sampled_from(["", "a1", "b2"]),
    st.sampled_from([{}, {"scsi1": "/mnt/storage"}, {"scsi1": "/a", "scsi2": "/b-c"}]),
)
FLEETS = st.dictionaries(NAMES, MACHINES, max_size=5)
FRESH = st.dictionaries(
    st.sampled_from(["k8s-new", "k8s-new2", "k8s-n-cp1", "haproxy-new", "talos-z-w9", "other"]),
    MACHINES,
    min_size=1,
)


GROUPS = [
    "k3s",
    "haproxy",
    "talos_control_plane",
    "talos_workers",
    "k3s_control_plane",
    "k3s_workers",
    "edge",
]


@st.composite
def inventories(draw):
    """What Ansible accepts, with managed lines: of random lines hardly one in a hundred files is such."""
    remarks = st.lists(st.sampled_from(["# remark", "; old", "", "\t", "# k8s-dev"]), max_size=1)
    lines = draw(remarks) + ["# Individual hosts"] * draw(st.booleans())
    for name in draw(st.lists(NAMES, unique=True, max_size=5)):
        machine = draw(MACHINES)
        said = f" rack=7 ansible_host={machine.address}  {machine.mark()} by hand"
        lines += [name + draw(st.sampled_from([said, said, " ansible_user=me", ""])), *draw(remarks)]
    groups = draw(st.lists(st.sampled_from(GROUPS), unique=True))
    for group in groups:
        lines += ["", f"[{group}]", *draw(remarks)]
        for name in draw(
            st.lists(NAMES | st.sampled_from(["x[01:03]", "y[a:c].lan"]), unique=True, max_size=3)
        ):
            lines += [name + draw(st.sampled_from(["", "", "  # note", " n='a # b'\tm=1"])), *draw(remarks)]
    if groups and draw(st.booleans()):
        lines += ["[site:children]", *groups, f"[{groups[0]}:vars]", "k8s-dev = 1", *draw(remarks)]
    end = draw(ENDS)
    return end.join(lines) + end * draw(st.booleans())


@given(inventories())
def test_what_people_write_has_no_findings(text):
    assert parse(text).findings == []


@example("\nk8s-dev ansible_host=10.0.0.1  # terraform", ["k8s-dev"])
@given(inventories(), st.lists(NAMES))
def test_a_removal_takes_the_machines_lines_alone(text, names):
    inventory = parse(text)
    names = [name for name in names if name in inventory.managed()]
    after = [line for line, _ in parse(change(inventory, {}, names)).lines]
    gone = {host.line for host in inventory.hosts if len(host.names) == 1 and host.names[0] in names}
    assert after == [line for number, (line, _) in enumerate(inventory.lines) if number not in gone]


@given(TEXTS | inventories() | st.text())
@settings(max_examples=400)
def test_parse_and_write_back_is_the_identity(text):
    assert change(parse(text), {}) == text


@given(TEXTS | inventories(), FRESH)
@settings(max_examples=400)
def test_add_then_remove_is_the_identity(text, machines):
    """Where a heading is missing it is added, and stays; from then on nothing is left behind."""
    inventory = parse(text)
    after = change(parse(change(inventory, machines)), {}, machines)
    headings = {INDIVIDUAL, *filter(None, map(group_of, machines))}
    if headings <= inventory.slots.keys() and not without_parent(inventory.children, machines):
        assert after == text
    assert change(parse(change(parse(after), machines)), {}, machines) == after


@given(TEXTS | inventories(), FLEETS)
@settings(max_examples=300)
def test_a_second_run_changes_nothing(text, machines):
    inventory = parse(text)
    if inventory.findings:
        return
    by_hand = {name for host in inventory.hosts for name in host.names if host.defines and not host.managed}
    machines = {name: machine for name, machine in machines.items() if name not in by_hand}
    if contradictions(inventory.hosts, inventory.children, machines, ""):
        return
    once = change(inventory, machines)
    assert not parse(once).findings
    assert change(parse(once), machines) == once
    assert parse(once).managed().keys() == inventory.managed().keys() | machines.keys()


@pytest.fixture(scope="module")
def ansible_reads():
    """Ansible's own reader in this process, which does in a millisecond what the command does in 330."""
    patch = pytest.MonkeyPatch()
    patch.setenv("ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED", "1")
    patch.setenv("ANSIBLE_INVENTORY_ENABLED", "ini")
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.utils.display import Display

    for name in ("warning", "error", "deprecated", "error_as_warning"):
        patch.setattr(Display, name, lambda *args, **kwargs: None, raising=False)  # not all in 2.17

    def reads(text):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "k8s.ini"
            file.write_bytes(text.encode())
            inventory = InventoryManager(loader=DataLoader(), sources=[str(file)])
        groups = {name: {host.name for host in group.get_hosts()} for name, group in inventory.groups.items()}
        return groups, {name: dict(host.vars) for name, host in inventory.hosts.items()}

    yield reads
    patch.undo()


def encodable(text: str) -> bool:
    return all(not 0xD800 <= ord(char) < 0xE000 for char in text)


@given(text=TEXTS.filter(encodable) | inventories(), machines=FLEETS)
@settings(max_examples=300)
def test_ansible_sees_exactly_the_expected_hosts_and_groups(ansible_reads, text, machines):
    inventory = parse(text)
    if inventory.findings:
        return
    by_hand = {name for host in inventory.hosts for name in host.names if host.defines and not host.managed}
    machines = {name: machine for name, machine in machines.items() if name not in by_hand}
    if contradictions(inventory.hosts, inventory.children, machines, ""):
        return
    groups, hosts = ansible_reads(change(inventory, machines))
    assert hosts.keys() == inventory.variables().keys() | machines.keys()
    given, below = list(inventory.hosts), {group: dict(one) for group, one in inventory.children.items()}
    for name, machine in machines.items():
        assert str(hosts[name]["ansible_host"]) == machine.address
        assert hosts[name]["ansible_user"] == machine.user
        assert hosts[name].get("disk_mounts", "") == machine.variables().get("disk_mounts", "")
        group = group_of(name) or "ungrouped"
        given.append(Host(0, group, name, (name,), {}, ""))
        if group in PARENTS:
            below.setdefault(PARENTS[group], {})[group] = 0
    for name, members in all_members(given, below).items():
        if name not in ("all", "ungrouped"):
            assert groups[name] == members
