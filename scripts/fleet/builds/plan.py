"""What a build is going to do: handed from its first stage, the preflight checks, to the others."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from fleet.builds.spec import Spec, read
from fleet.templates.notes import Notes


class Plan(NamedTuple):
    """`node` and `image_storage`: as chosen; `storage_type`: of the storage for its disks.

    `ready`: the VMID of the template that is as wanted already, else None. `building`: that of a machine which an
    earlier run, or another part of this one, began.
    """

    spec: Spec
    node: str
    storage_type: str
    image_storage: str
    fingerprint: str
    ready: int | None = None
    building: int | None = None

    @property
    def storages(self) -> dict[str, dict[str, str]]:
        """What is known of the node's storages, as Proxmox would tell it."""
        return {self.spec.storage: {"type": self.storage_type}}

    @property
    def volume(self) -> str:
        return f"{self.image_storage}:import/{self.spec.image.file}"

    def notes(self, vmid: int) -> Notes:
        """Of the guest with this VMID."""
        spec, image = self.spec, self.spec.image
        sum_ = f"{image.algorithm}:{image.checksum}"
        return Notes(vmid, spec.name, image.name, image.file, image.url, sum_, self.fingerprint, spec.agent)

    def facts(self) -> dict[str, Any]:
        """As a play hands it on; the variables that it was made of are not repeated."""
        facts = {key: value for key, value in self._asdict().items() if key != "spec"}
        return facts | {"name": self.spec.name, "seals": self.spec.seals}


def taken(arguments: Mapping[str, Any]) -> Plan:
    """The plan of a step: the role's variables, and under `plan` what the preflight checks answered."""
    given = {key: value for key, value in arguments.items() if key != "plan"}
    facts = {key: value for key, value in arguments["plan"].items() if key in Plan._fields}
    return Plan(read(given), **facts)
