"""What Terraform's state says of machines that an earlier run made."""

import pytest

from fleet.terraform import state

MARKED = {"description": "tests\n\nproxmox-gitops: k8s-dev"}


@pytest.mark.parametrize(
    ("tainted", "attributes", "is_finished"),
    [
        (False, MARKED, True),
        (True, MARKED, False),  # its making failed half way
        (False, {"description": "tests"}, False),  # a takeover that was cut off
        (False, {"description": None}, False),
        (False, {}, False),
        (False, {"description": "proxmox-gitops: k8s-other"}, False),
    ],
)
def test_a_machine_that_was_made_to_the_end(tainted, attributes, is_finished):
    resource = state.Resource(501, "node01", tainted, "x", (), attributes)
    assert state.finished({"k8s-dev": resource}) == ({"k8s-dev"} if is_finished else set())
