"""Mapped devices, ISO images and snippets that files name: whether Proxmox has them."""

import pytest

from fleet.preflight import devices
from tests.helpers.machines import Cluster, made


def mapping(name: str, *nodes: str) -> dict:
    return {"id": name, "map": [f"node={node},path=0000:0{n}:00.0,id=1:2" for n, node in enumerate(nodes)]}


GPU = {"hostpci0": {"mapping": "gpu"}}
PCI = "cluster/mapping/pci"
ISO = "nodes/node01/storage/local/content"
CASES = [
    # the files' fields by machine, what Proxmox tells, and what is found
    ({"a": GPU}, {PCI: [mapping("gpu", "node01")]}, []),
    ({"a": GPU}, {}, []),  # the token sees no mapping, which proves nothing
    ({"a": GPU}, {PCI: []}, []),
    ({"a": GPU}, {PCI: [mapping("nic", "node01")]},
     ["a.yaml: hostpci0.mapping: Proxmox has no mapping gpu of this kind; it has nic"]),
    ({"a": GPU}, {PCI: [mapping("gpu", "node02")]},
     ["a.yaml: hostpci0.mapping: gpu has no device on node01, only on node02"]),
    ({"a": GPU, "b": GPU}, {PCI: [mapping("gpu", "node01", "node01")]}, []),
    ({"a": GPU, "b": GPU}, {PCI: [mapping("gpu", "node01", "node02")]},
     ["b.yaml: hostpci0.mapping: gpu has 1 device on node01, which a uses already; stop one of them, or choose"
      " another"]),
    ({"a": GPU, "b": GPU | {"vm_state": "stopped"}}, {PCI: [mapping("gpu", "node01")]}, []),
    ({"a": {"usb0": {"mapping": "key"}}}, {"cluster/mapping/usb": [mapping("key", "node02")]},
     ["a.yaml: usb0.mapping: key has no device on node01, only on node02"]),
    ({"a": {"virtiofs0": {"mapping": "media"}}, "b": {"virtiofs0": {"mapping": "media"}}},
     {"cluster/mapping/dir": [mapping("media", "node01")]}, []),
    ({"a": {"hostpci0": "none"}}, {PCI: [mapping("nic", "node01")]}, []),
    ({"a": {"cdrom": "local:iso/x.iso"}}, {ISO: [{"volid": "local:iso/x.iso"}]}, []),
    ({"a": {"cdrom": "local:iso/x.iso"}}, {ISO: [{"volid": "local:iso/y.iso"}]},
     ["a.yaml: cdrom: local:iso/x.iso is not on node01; of this kind local has local:iso/y.iso"]),
    ({"a": {"cdrom": "local:iso/x.iso"}}, {}, []),
    ({"a": {"cdrom": "none"}}, {ISO: []}, []),
    ({"a": {"cdrom": "local:iso/x.iso"}}, {ISO: []},
     ["a.yaml: cdrom: local:iso/x.iso is not on node01; of this kind local has none"]),
    ({"a": {"cicustom": {"vendor": "local:snippets/v.yaml"}}}, {ISO: [{"volid": "local:snippets/w.yaml"}]},
     ["a.yaml: cicustom.vendor: local:snippets/v.yaml is not on node01; of this kind local has"
      " local:snippets/w.yaml"]),
    ({"a": {"cicustom": {"vendor": "local:snippets/v.yaml"}}}, {ISO: []}, []),  # not shown to most tokens
]  # fmt: skip


@pytest.mark.parametrize(("files", "told", "expected"), CASES)
def test_what_files_name(files, told, expected):
    machines = [made(name, **fields) for name, fields in files.items()]
    found = devices.needs(Cluster(told=told), machines)
    assert [f"{one.path}: {one.message}" for one in found] == expected
    known = devices.needs(Cluster(told=told), machines, files)
    assert [one.level for one in known] == ["warning"] * len(expected), "what exists blocks nobody's push"


def test_fifty_machines_are_few_questions():
    cluster = Cluster(told={PCI: [mapping("gpu", *["node01"] * 50)], ISO: [{"volid": "local:iso/x.iso"}]})
    fields = GPU | {"cdrom": "local:iso/x.iso"}
    assert devices.needs(cluster, [made(f"m{n}", **fields) for n in range(50)]) == []
    assert sorted(cluster.asked) == [PCI, ISO]
    assert devices.needs(quiet := Cluster(), [made("a")]) == []
    assert quiet.asked == []
