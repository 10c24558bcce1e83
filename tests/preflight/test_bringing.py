"""Images come onto the storages before Terraform makes disks of them, and what fails holds up no other machine."""

import pytest

from fleet.findings import Fault
from fleet.images import volume
from fleet.images.volume import Brought
from fleet.preflight import bringing
from fleet.preflight.images import Source
from tests.helpers.images import locked
from tests.helpers.machines import made

AWAY = "https://example.org/rocky9.qcow2 answers 404: Not Found"


class Sizes:
    """A client that knows the size of any volume."""

    def get(self, path):
        return {"size": 10 * 2**30}


@pytest.fixture
def asked(monkeypatch):
    """The images that were brought, by node; rocky9 cannot be."""
    asked = []

    def bring(client, node, storage, image):
        asked.append((node, image.name))
        if image.name == "rocky9":
            raise Fault(AWAY, code=2)
        return Brought(f"{storage}:import/{image.file}", False, "verified")

    monkeypatch.setattr(volume, "bring", bring)
    return asked


def source(name: str, image: str = "debian12", gib: int = 20, node: str = "node01") -> Source:
    disks = {"scsi0": {"size": f"{gib}G"}}
    machine = made(name, clone=None, image=image, agent=False, target_node=node, disks=disks)
    return Source(machine, locked(image), "local")


def brought(*sources: Source, others: tuple[str, ...] = ()):
    found = {one.machine.name: one for one in sources}
    values = {"vms": {name: {} for name in [*found, *others]}, "imports": {}}
    values, findings = bringing.brought(Sizes(), values, found)
    return list(values["vms"]), [finding.text() for finding in findings]


def test_each_image_once_for_a_node(asked):
    assert brought(source("a"), source("b"), source("c", node="node02"), others=("old",)) == (
        ["a", "b", "c", "old"],
        [],
    )
    assert asked == [("node01", "debian12"), ("node02", "debian12")]


def test_nothing_to_bring(asked):
    assert brought(others=("old",)) == (["old"], [])
    assert brought() == ([], [])


def test_what_fails_is_named_and_left_out(asked):
    left, said = brought(source("a"), source("b", "rocky9"), source("c", "rocky9"), source("d", gib=9))
    assert left == ["a"]
    assert said == [
        f"b.yaml:8:1: image: b is not made: {AWAY}. The next run tries again",
        f"c.yaml:8:1: image: c is not made: {AWAY}. The next run tries again",
        "d.yaml:7:19: disks.scsi0.size: is 9G, but the image debian12 has 10G, and disks never shrink",
    ]
    assert asked == [("node01", "debian12"), ("node01", "rocky9")]


def test_no_machine_is_left(asked):
    with pytest.raises(Fault, match=r"b is not made: .* answers 404"):
        brought(source("b", "rocky9"))
