"""What is wrong between the files of a cluster's members."""

import pytest

from fleet.rules import members
from fleet.vms import files

P = "k8s-prod"


@pytest.mark.parametrize(
    ("names", "only", "found"),
    [
        ("cp01", None, []),
        ("cp01 cp02 cp03 w01 w02", None, []),
        ("cp01 cp02 w01", None, [("warning", f"{P} has 2 control planes ({P}-cp01, {P}-cp02), and etcd needs an odd")]),
        ("cp01 cp02", f"{P}-cp01", [("warning", "has 2 control planes")]),  # said at the file that was asked about
        ("cp01 cp02", "k8s-dev", []),
        ("w01 w02", None, [("warning", f"{P} has workers ({P}-w01, {P}-w02) and no control plane; add {P}-cp01")]),
        ("cp1 cp01 cp02", None, [("error", f"{P}-cp1 and {P}-cp01 (")]),
        ("cp1 cp01 cp02", f"{P}-cp01", [("error", f"{P}-cp01 and {P}-cp1 (")]),
        ("cp01 w1 w001", None, [("error", "have the same number; change one of them")]),
        ("cp1 w1", None, []),
        ("cp01 k8s-prod", None, [("error", f"{P} is a cluster of its own, and {P}-cp01 a member of one of the same")]),
        ("w01 cp01 k8s-prod", f"{P}-w01", [("error", "rename one of them")]),
        ("k8s-prod k8s-dev", None, []),
        ("talos-a-cp1 talos-a-cp2", None, [("warning", "talos-a has 2 control planes")]),
        ("cp01 k8s-a-cp01", None, []),  # each its own cluster
    ],
)  # fmt: skip
def test_members(tmp_path, names, only, found):
    for name in names.split():
        name = name if "-" in name else f"{P}-{name}"
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\n")
    vms, _ = files.load_dir(tmp_path)
    asked = None if only is None else {vm.path for vm in vms.values() if vm.name == only}
    seen = list(members.check(vms.values(), asked))
    assert [one.level for one in seen] == [level for level, _ in found]
    for one, (_, said) in zip(seen, found, strict=True):
        assert said in one.message
        assert one.path.endswith(f"{only}.yaml") or only is None
