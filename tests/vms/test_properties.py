"""Properties of reading and checking VM files, on generated input."""

import json

import jsonschema
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.rules import between
from fleet.rules import file as rules
from fleet.vms import files as vms
from fleet.vms import schema as vm_schema
from fleet.vms import strict_yaml, violations

# Text that looks like a VM file more often than chance would have it.
WORDS = st.sampled_from(
    [
        *vm_schema.schema()["properties"],
        *("scsi0", "scsi1", "size", "mount", "bridge", "macaddr", "<<", "k8s-a", "order=scsi0", "9000"),
        *("yes", "0755", "1e3", "10:11:12:13:14:15", "~", "null", "true", "4", "-1", "2.5", "50G", "/mnt/a"),
        *("ip=192.168.1.20/24,gw=192.168.1.1", "ip=10.0.0.1/8,ip6=auto", "2026-11-20", "dhcp"),
    ]
)
MARKS = st.sampled_from(
    [*":-?,[]{}#&*!|>'\"%@`\n\t \r\0", ": ", "- ", "\n  ", "\n", "---\n", "&a ", "*a", "!!str ", "\x85"]
)
YAMLISH = st.lists(st.one_of(WORDS, MARKS, st.text(max_size=4)), max_size=40).map("".join)


def findings_of(text):
    vm, findings = vms.load_text("vms/k8s-a.yaml", text)
    if vm:
        findings += rules.check(vm, findings)
        other = vms.load_text("vms/b.yaml", text)[0]
        findings += between.check([vm, other], {"k8s-a"})
        findings += between.check([vm, other], {"k8s-a"}, {other.path})
    return vm, findings


@given(YAMLISH)
@settings(max_examples=200, deadline=None)
def test_no_text_raises(text):
    vm, findings = findings_of(text)
    assert vm or findings
    for finding in findings:
        assert "\n" not in finding.text() and finding.line >= 0
        assert finding.line <= len(text.splitlines()) + 1


@given(st.one_of(st.binary(max_size=200), YAMLISH.map(lambda text: text.encode("utf-8", "replace"))))
@settings(max_examples=100, deadline=None)
def test_no_bytes_raise(raw):
    vm, findings = vms.load_bytes("vms/k8s-a.yaml", raw)
    assert vm or findings


@given(YAMLISH)
@settings(max_examples=200, deadline=None)
def test_what_is_accepted_other_readers_read_alike(text):
    vm, findings = vms.load_text("a.yaml", text)
    if vm and not findings:
        assert yaml.safe_load(text) == vm.data


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 10_000), st.floats(allow_nan=False), WORDS, st.text(max_size=5)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=6,
)
LABEL = st.sampled_from(["a", "node01", "local-lvm", "x-1-y", "z9"])
USER = st.sampled_from(["suporte", "_x", "a-b_c", "u" * 32])
MAC = st.integers(0, 0xFFFF).map(lambda number: f"02:00:00:00:{number >> 8:02X}:{number & 255:02x}")


@st.composite
def valid_vms(draw):
    """The data of a file that must be accepted."""
    sockets = draw(st.integers(1, 4))
    host = draw(st.integers(2, 254))
    data = {
        "name": "k8s-a",
        "target_node": draw(LABEL),
        "cores": draw(st.integers(1, 512)),
        "memory": draw(st.integers(64, 4178944)),
        "clone": draw(LABEL),
        "ipconfig0": f"ip=10.0.{draw(st.integers(0, 255))}.{host}/24"
        + draw(st.sampled_from(["", ",ip6=dhcp", ",ip6=auto", ",ip6=2001:db8::5/64,gw6=fe80::1"])),
        "ciuser": draw(USER),
    }
    disks = {}
    for slot in range(draw(st.integers(0, 4))):
        disks[f"scsi{slot}"] = {"size": f"{draw(st.integers(1, 99999))}G", "storage": draw(LABEL) + "0"}
        if slot and draw(st.booleans()):
            disks[f"scsi{slot}"]["mount"] = f"/mnt/disk{slot}"
    network = st.fixed_dictionaries(
        {"bridge": st.just("vmbr0")},
        optional={
            "tag": st.integers(1, 4094),
            "mtu": st.integers(1, 65520),
            "firewall": st.booleans(),
            "macaddr": MAC,
        },
    )
    optional = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "sockets": st.just(sockets),
                "cpu_type": st.sampled_from(["host", "x86-64-v2-AES", "custom-x"]),
                "network": network,
                "vmid": st.one_of(st.integers(100, 8999), st.integers(10_000, 999_999_999)),
                "tags": st.lists(st.sampled_from(["k8s", "a.b", "c+d", "e_f"]), unique=True),
                "description": st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=80),
                "onboot": st.booleans(),
                "vm_state": st.sampled_from(["running", "stopped"]),
                "agent": st.sampled_from([True, False, 0, 1]),
                "full_clone": st.booleans(),
                "nameserver": st.sampled_from(["1.1.1.1", "1.1.1.1 fe80::1", ["1.1.1.1"]]),
                "protection": st.booleans(),
            },
        )
    )
    return data | ({"disks": disks} if disks else {}) | optional


@given(valid_vms(), st.booleans(), st.booleans())
@settings(max_examples=80, deadline=None)
def test_a_valid_file_is_accepted_as_it_was_meant(data, flow, unicode):
    text = yaml.safe_dump(data, default_flow_style=flow, allow_unicode=unicode, sort_keys=False)
    if vms.load_text("vms/k8s-a.yaml", text)[1]:
        text = json.dumps(data, ensure_ascii=False)  # PyYAML's writer leaves 1e3 and the like bare
    vm, findings = vms.load_text("vms/k8s-a.yaml", text)
    assert findings + rules.check(vm, findings) == []
    assert vm.data == data


@given(valid_vms(), st.lists(st.tuples(WORDS, VALUES), max_size=3))
@settings(max_examples=100, deadline=None)
def test_the_fast_validator_agrees_with_the_one_that_explains(data, changes):
    data = data | dict(changes)
    assert violations.is_valid(data) == violations._validator().is_valid(data)


@given(VALUES)
@settings(max_examples=100, deadline=None)
def test_the_fast_validator_takes_anything(value):
    assert violations.is_valid(value) == violations._validator().is_valid(value)
    vm = vms.VM(
        "a", "vms/a.yaml", value if isinstance(value, dict) else {"disks": value}, True, strict_yaml.Lines()
    )
    rules.check(vm)


@given(valid_vms(), valid_vms(), WORDS, VALUES)
@settings(max_examples=100, deadline=None)
def test_no_data_makes_a_rule_raise(data, other, field, value):
    first = vms.VM("k8s-a", "vms/k8s-a.yaml", data | {field: value}, True, strict_yaml.Lines())
    second = vms.VM("b", "vms/b.yaml", other, True, strict_yaml.Lines())
    assert all(finding.message for finding in rules.check(first))
    between.check([first, second], set())


def test_the_schema_is_one_and_says_what_each_field_is():
    schema = vm_schema.schema()
    jsonschema.Draft202012Validator.check_schema(schema)

    def walk(part, where):
        for name, child in part.get("properties", {}).items():
            assert child["description"].endswith((".", ")")), f"{where}.{name} has no description"
            for example in [*child.get("examples", []), *([child["default"]] if "default" in child else [])]:
                valid = jsonschema.Draft202012Validator({**child, "$defs": schema["$defs"]}).is_valid(example)
                assert valid, f"{where}.{name}: {example}"
            if (
                child["description"]
                and "enum" not in child
                and "const" not in child
                and child.get("type") != "boolean"
            ):
                assert child.get("examples"), f"{where}.{name} has no example"
            walk(child, f"{where}.{name}")

    walk(schema, "")
    for name, child in schema["$defs"].items():
        walk(child, name)
