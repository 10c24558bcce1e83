"""Which machines of Terraform's state get other names, by what their files say."""

import json
import subprocess
from pathlib import Path

import pytest

from fleet.terraform import renamed
from fleet.terraform.state import Resource
from tests.helpers.machines import text


def resource(name: str) -> Resource:
    attributes = {"description": f"hello\n\nproxmox-gitops: {name}", "name": name}
    return Resource(500, "node01", False, f'module.vm.x.this["{name}"]', (), attributes)


def folder(tmp_path: Path, files: dict[str, str]) -> Path:
    """A folder of VM files: name to the earlier name, "" for none."""
    vms = tmp_path / "vms"
    vms.mkdir(exist_ok=True)
    for name, old in files.items():
        (vms / f"{name}.yaml").write_text(text(name, **({"formerly": old} if old else {})))
    return vms


CASES = [
    # files with their earlier names, machines of the state, who becomes whom, what is said
    ({"a": ""}, ["a"], {}, []),
    ({"b": "a"}, ["a"], {"b": "a"}, ["a becomes b"]),
    ({"b": "a"}, ["b"], {}, []),  # it was renamed before
    ({"b": "a"}, [], {}, ["Terraform's state has no a, so that b is a new machine"]),
    ({"b": "a"}, ["a", "b"], {}, []),  # there is a b: another machine
    ({"a": "", "b": "a"}, ["a"], {}, []),  # the rules refuse it
    ({"b": "a", "c": "a"}, ["a"], {"b": "a"}, ["a becomes b"]),  # and this
    ({"a": "b", "b": "a"}, ["a", "b"], {}, []),
    ({"b": "a", "c": ""}, ["a", "c"], {"b": "a"}, ["a becomes b"]),
    ({"k8s-b": "a"}, ["a"], {}, []),  # another kind of machine
    ({"k8s-home": "k8s-a"}, ["k8s-a"], {}, []),  # never touched
    ({"b": "../a"}, ["a"], {}, ["no ../a"]),
    ({"b": "../../../a"}, ["a"], {}, ["no ../../../a"]),
    ({"c": "b"}, ["a"], {}, ["has no b"]),
]


@pytest.mark.parametrize(("files", "have", "moves", "said"), CASES)
def test_who_becomes_whom(tmp_path, files, have, moves, said):
    found = renamed.read(folder(tmp_path, files), {name: resource(name) for name in have})
    assert found.moves == moves
    assert len(found.findings) == len(said)
    assert all(words in one.message for words, one in zip(said, found.findings, strict=True))
    assert sorted(found.have) == sorted(
        {old: new for new, old in moves.items()}.get(name, name) for name in have
    )
    for name, one in found.have.items():
        assert one.attributes["description"] == f"hello\n\nproxmox-gitops: {name}"
        assert one.address == f'module.vm.x.this["{moves.get(name, name)}"]'  # as the state still has it


def test_a_machine_that_may_be_destroyed_goes_on_under_its_new_name(tmp_path):
    found = renamed.read(folder(tmp_path, {"b": "a"}), {"a": resource("a")}, {"a"})
    assert found.moves == {"b": "a"}
    assert [one.message.split(";")[0] for one in found.findings][1] == (
        "formerly: [destroy a] has no effect: the machine goes on as b"
    )


def test_the_earlier_names_of_files_that_were_never_applied_are_in_the_history(tmp_path):
    vms = folder(tmp_path, {"a": ""})

    def commit() -> None:
        for words in (["add", "-A"], ["-c", "user.name=t", "-c", "user.email=t@x", "commit", "-qm", "x"]):
            subprocess.run(["git", *words], cwd=tmp_path, check=True)

    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    commit()
    for old, new in (("a", "b"), ("b", "c"), ("c", "d")):
        (vms / f"{old}.yaml").unlink()
        folder(tmp_path, {new: old})
        commit()
    assert renamed.read(vms, {"a": resource("a")}).moves == {"d": "a"}
    assert renamed.read(vms, {"b": resource("b")}).moves == {"d": "b"}
    # In a circle nobody is found, and nothing hangs.
    (vms / "d.yaml").unlink()
    folder(tmp_path, {"x": "b"})
    (vms / "b.yaml").write_text(text("b", formerly="c"))
    (vms / "c.yaml").write_text(text("c", formerly="b"))
    commit()
    (vms / "b.yaml").unlink(), (vms / "c.yaml").unlink()
    assert renamed.read(vms, {"z": resource("z")}).moves == {}


def test_the_blocks_stand_beside_the_input_as_long_as_they_are_needed(tmp_path):
    target = tmp_path / "vms.auto.tfvars.json"
    assert renamed.write(target, {"vms": {}}, {"b": "a"}) is True
    assert json.loads((tmp_path / "renamed.tf.json").read_text()) == {
        "moved": [
            {"from": f'module.vm.{kind}.this["a"]', "to": f'module.vm.{kind}.this["b"]'}
            for kind in ("proxmox_virtual_environment_vm", "proxmox_haresource")
        ]
    }
    assert renamed.write(target, {"vms": {}}, {}) is False
    assert [path.name for path in tmp_path.iterdir()] == ["vms.auto.tfvars.json"]


@pytest.mark.parametrize(
    ("args", "warned"),
    [
        (None, True),
        (["--disable=traefik"], True),
        (["--node-name=k8s-a"], False),
        (["--node-name=k8s-b"], True),
    ],
)
def test_a_node_that_would_get_another_name_is_said(tmp_path, args, warned):
    vms = folder(tmp_path, {})
    more = {"playbook_vars": {"k3s_extra_args": args}} if args else {}
    (vms / "k8s-b.yaml").write_text(text("k8s-b", formerly="k8s-a", **more))
    found = renamed.read(vms, {"k8s-a": resource("k8s-a")})
    said = [one.message for one in found.findings if one.level == "warning"]
    assert len(said) == warned
    assert all("`playbook_vars: {k3s_extra_args: [--node-name=k8s-a]}`" in one for one in said)
