"""The file with vendor data."""

import pytest

from fleet.findings import Fault
from fleet.snippets import vendor


def test_what_is_taken(tmp_path):
    file = tmp_path / "v.yaml"
    file.write_bytes("#cloud-config\r\n# ä\npackages: [qemu-guest-agent]\n".encode())
    found = vendor.read(str(file), "web-1")
    assert (found.file, found.data) == ("gitops-web-1-vendor.yaml", file.read_bytes())


@pytest.mark.parametrize(
    ("data", "words", "line"),
    [
        (None, "cannot be read: No such file", 0),
        (b"packages: []\n", "does not begin with the line #cloud-config", 1),
        (b"", "does not begin with the line #cloud-config", 1),
        (b"#cloud-config\n- a\n", "is not a mapping", 0),
        (b"#cloud-config\n", "is not a mapping", 0),
        (b"#cloud-config\na: b: c\n", "is not YAML", 2),
        (b"#cloud-config\na: !!python/object/apply:os.system [id]\n", "is not YAML", 2),
        (b"#cloud-config\na: \xff\n", "is not valid UTF-8", 0),
        (b"#cloud-config\na: " + b"x" * (1 << 20), "and Proxmox reads 1048576 of a snippet", 0),
    ],
)
def test_what_is_refused(tmp_path, data, words, line):
    file = tmp_path / "v.yaml"
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(Fault, match=words) as caught:
        vendor.read(str(file), "web-1")
    assert caught.value.finding.path.endswith("v.yaml") and caught.value.finding.line == line
