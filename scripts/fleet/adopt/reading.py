"""What came of reading a guest's configuration: what a VM file says of it, and what none can say."""

from typing import Any, NamedTuple


class Unsayable(Exception):
    """No VM file can say this, and it stays as it is in Proxmox as long as the file says nothing of the kind."""


class Impossible(Exception):
    """No VM file can say this, and taking the guest over would change it."""


class Reading(NamedTuple):
    """A guest under the names of the VM file's fields."""

    fields: dict[str, Any]
    remarks: dict[str, str]  # field to the comment that its line gets
    kept: list[str]  # what Terraform neither reads nor writes
    unsaid: list[str]  # see Unsayable
    refused: list[str]  # see Impossible
