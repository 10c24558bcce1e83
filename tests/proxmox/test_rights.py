"""Rights that a token lacks."""

import pytest

from fleet.proxmox.rights import missing, right


class Told:
    """A client whose only answer is which rights there are."""

    user = "me@pve!gitops"

    def __init__(self, answer, version="9.0.3"):
        self.answer, self.version = answer, version

    def get(self, path):
        return {"access/permissions": self.answer, "version": {"version": self.version}}[path]


ALL = {
    "/": {"VM.Clone": 1, "Sys.Audit": 0},
    "/storage": {"VM.Clone": 1},
    "/storage/local": {"Datastore.Audit": 0},
}


@pytest.mark.parametrize(
    ("path", "privileges", "has"),
    [
        ("/", ["VM.Clone"], True),
        ("/", ["Sys.Audit"], True),  # there, though not below it
        ("/nodes/node01", ["VM.Clone"], True),
        ("/nodes/node01", ["Sys.Audit"], False),
        ("/storage/local", ["Datastore.Audit"], True),
        # What has an entry of its own is told completely.
        ("/storage/local", ["VM.Clone"], False),
        ("/storage/other", ["VM.Clone"], True),
        ("/storage/local/x", ["Datastore.Audit"], False),
        ("/vms/500", ["VM.GuestAgent.Audit", "VM.Monitor"], False),
        ("/vms/500", ["VM.Monitor", "VM.Clone"], True),
    ],
)
def test_the_nearest_path_that_was_told_decides(path, privileges, has):
    assert bool(missing(Told(ALL), [right(path, *privileges)])) != has


def test_what_is_missing_is_named_once_with_the_commands_that_grant_it():
    lacks = right("/nodes/node01", "Sys.AccessNetwork")
    (text,) = missing(Told({"/": {}}), [lacks, lacks])
    assert text == (
        "me@pve!gitops lacks Sys.AccessNetwork on /nodes/node01: `pveum role modify GitOps -append -privs"
        " Sys.AccessNetwork`, and where the role is not given there, `pveum acl modify /nodes/node01"
        " -user me@pve -token 'me@pve!gitops' -role GitOps`"
    )


@pytest.mark.parametrize(
    ("version", "wanted", "named"),
    [
        ("8.4.1", ["VM.GuestAgent.Audit", "VM.Monitor"], "VM.Monitor"),
        ("8.4.1", ["VM.GuestAgent.Audit"], "VM.Monitor"),
        ("9.0.3", ["VM.GuestAgent.Audit", "VM.Monitor"], "VM.GuestAgent.Audit"),
        ("8.4.1", ["Sys.AccessNetwork", "Sys.Modify"], "Sys.AccessNetwork or Sys.Modify"),
    ],
)
def test_a_privilege_has_the_name_of_the_version(version, wanted, named):
    (text,) = missing(Told({"/": {}}, version), [right("/vms", *wanted)])
    assert f"lacks {named} on /vms: " in text and f"-privs {named.partition(' ')[0]}`" in text
