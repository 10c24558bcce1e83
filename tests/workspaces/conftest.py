"""Helm's Terraform provider comes from the same place as in the tests of releases."""

from tests.releases.conftest import helm_mirror as helm_mirror
