"""Choosing VMIDs."""

import pytest

from fleet.proxmox import ids
from tests.helpers.machines import made


@pytest.mark.parametrize(
    ("files", "known", "taken", "hidden", "expected", "problem"),
    [
        ({"a": None}, {}, {}, (), {"a": 500}, ""),
        ({"a": None, "b": None}, {}, {500: "x", 501: "y"}, (), {"a": 502, "b": 503}, ""),
        ({"a": None}, {"a": 612}, {612: "a (Terraform's state)"}, (), {"a": 612}, ""),
        ({"a": 120}, {}, {}, (), {"a": 120}, ""),
        ({"a": 120}, {"a": 120}, {120: "a on node01"}, (), {"a": 120}, ""),
        ({"a": None, "b": 500}, {}, {}, (), {"a": 501, "b": 500}, ""),
        # Offline, by the input that was written before.
        ({"a": 500, "b": None}, {"b": 500}, {}, (), {"a": 500, "b": 501}, ""),
        # Taken by a machine that the token may not see.
        ({"a": None}, {}, {}, (500, 501), {"a": 502}, ""),
        ({"a": 9000}, {}, {9000: "ubuntu24-template on node01"}, (), {}, "belongs to ubuntu24-template"),
        ({"a": 120, "b": 120}, {}, {}, (), {"a": 120}, "vmid: 120 belongs to a (a.yaml)"),
        # Another VMID in the file than the machine has: the plan guard's matter.
        ({"a": 700}, {"a": 612}, {612: "a"}, (), {"a": 700}, ""),
        ({"a": None}, {}, dict.fromkeys(range(500, 9000), "x"), (), {}, "vmid: no VMID from 500 to 8999 is free"),
    ],
)  # fmt: skip
def test_vmids(files, known, taken, hidden, expected, problem):
    machines = {name: made(name)._replace(vmid=vmid) for name, vmid in files.items()}
    chosen, findings = ids.choose(machines, known, taken, lambda vmid: vmid not in hidden)
    assert chosen == expected
    assert problem in "".join(finding.message for finding in findings)
    assert bool(problem) == bool(findings)
