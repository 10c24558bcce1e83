"""The catalogue: the repository's own, what its entries may say, and which words find an image."""

import pytest

from fleet.findings import Fault
from fleet.images import catalogue
from fleet.paths import IMAGES

GOOD = """\
debian12:
  aliases: [debian-12]
  url: https://example.org/latest/debian-12-generic-amd64.qcow2
  checksums: https://example.org/latest/SHA512SUMS
  user: debian
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    def write(text):
        file = tmp_path / "images.yml"
        file.write_text(text)
        monkeypatch.chdir(tmp_path)
        return file

    return write


def test_an_entry_has_its_defaults(write):
    images = catalogue.read(write(GOOD))
    assert images["debian12"] == catalogue.Image(
        "debian12",
        "https://example.org/latest/debian-12-generic-amd64.qcow2",
        "https://example.org/latest/SHA512SUMS",
        "debian",
        aliases=("debian-12",),
        line=1,
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("user: debian", "usr: debian", "1:1: debian12: lacks user"),
        ("user: debian", "user: debian\n  usr: x", "6:3: debian12.usr: unknown field; did you mean user?"),
        ("user: debian", "user: debian\n  zzz: x", "6:3: debian12.zzz: unknown field; the known ones are al"),
        ("user: debian", "user: 7", "5:3: debian12.user: must be the name of an account, as debian"),
        ("user: debian", "user: debian\n  agent: maybe", "6:3: debian12.agent: must be true or false"),
        ("user: debian", "user: debian\n  agent: 1", "6:3: debian12.agent: must be true or false"),
        ("user: debian", "user: debian\n  firmware: uefi", "6:3: debian12.firmware: must be seabios or ovmf"),
        ("user: debian", "user: debian\n  firmware: [ovmf]", "6:3: debian12.firmware: must be seabios or"),
        ("user: debian", "user: debian\n  ended: true", '6:3: debian12.ended: must be a day in quotes, as "'),
        ("user: debian", 'user: debian\n  ended: "2026-13-01"', "6:3: debian12.ended: must be a day in quot"),
        ("user: debian", "user: debian\n  ended: 2026-08-31", "6:10: debian12.ended: YAML readers disagree"),
        (
            "user: debian",
            "user: debian\n  builds: https://example.org",
            "6:3: debian12.builds: must end in /",
        ),
        ("[debian-12]", "debian-12", "2:3: debian12.aliases: must be a list, as [debian-12, bookworm]"),
        ("[debian-12]", "[debian 12]", "2:3: debian12.aliases: debian 12 is not a word of letters, digits"),
        (
            "[debian-12]",
            "[debian12]",
            "2:13: debian12.aliases.0: debian12 is debian12 already (line 1); keep",
        ),
        (
            "[debian-12]",
            "[d, d]",
            "2:16: debian12.aliases.1: d is an alias of debian12 already (line 2); keep",
        ),
        ("url: https:", "url: http:", "3:3: debian12.url: must start with https://"),
        (
            "url: https:",
            "url: file:",
            "3:3: debian12.url: file://example.org/latest/debian-12-generic-amd64.qcow2 must",
        ),
        ("url: https:", "url: https://[", "3:3: debian12.url: https://[//example.org/latest/debian-12-gener"),
        ("-amd64.qcow2", "-amd64.qcow2?x=1", "3:3: debian12.url: https://example.org/latest/debian-12-gener"),
        ("-amd64.qcow2", "-amd64.iso", "3:3: debian12.url: must name a disk image, which ends in .qcow2"),
        ("12-generic-", "12-nocloud-", "3:3: debian12.url: debian-12-nocloud-amd64.qcow2 has no cloud-init"),
        (
            "example.org/latest/SHA",
            "a@example.org/SHA",
            "4:3: debian12.checksums: https://a@example.org/SHA5",
        ),
        ("debian12:\n", "Debian_12:\n", "1:1: Debian_12: a name has lower-case letters, digits and hyphens"),
        (GOOD, "debian12: url\n", "1:1: debian12: must have the fields of an image below it"),
        (GOOD, "- debian12\n", "1:1: holds a list at its top"),
        (GOOD, "\n", "has no image"),
    ],
)
def test_what_an_entry_may_not_say(write, old, new, message):
    assert old in GOOD
    findings = catalogue.load(write(GOOD.replace(old, new)))[1]
    assert f"images.yml:{message}" in "\n".join(
        finding.text().replace("yml: ", "yml:") for finding in findings
    )


def test_a_wrong_catalogue_is_not_read(write):
    file = write(GOOD.replace("https", "http"))
    with pytest.raises(
        Fault, match=r"debian12\.url: must start with https://.* \(and 1 more; .* lists them\)"
    ):
        catalogue.read(file)


def test_an_alias_means_one_image_alone(write):
    again = GOOD.replace("debian12", "debian13")
    assert [finding.text() for finding in catalogue.load(write(GOOD + again))[1]] == [
        "images.yml:7:13: debian13.aliases.0: debian-12 is an alias of debian12 already (line 2); "
        "keep one of them"
    ]


def test_a_missing_catalogue(tmp_path, monkeypatch):
    monkeypatch.setenv("PROXMOX_IMAGES", str(tmp_path / "images.yml"))
    with pytest.raises(Fault, match="does not exist; set PROXMOX_IMAGES to another's path"):
        catalogue.read()


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("debian12", "debian12"),
        ("debian-12", "debian12"),
        ("debian-11", "debian11"),
        ("debian-13", "debian13"),
        ("ubuntu-22.04", "ubuntu22"),
        ("ubuntu-24.04", "ubuntu24"),
        ("ubuntu-26.04", "ubuntu26"),
        ("rocky9", "rocky9"),
        ("rocky-9", "rocky9"),
        ("rocky10", "rocky10"),
        ("rocky-10", "rocky10"),
        ("opensuse-leap", "opensuse-leap"),
    ],
)
def test_both_spellings_find_an_image(word, name):
    assert catalogue.find(catalogue.read(IMAGES), word).name == name


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("debain12", r"the catalogue has no image debain12; did you mean debian12\? It has debian11, deb"),
        ("Debian12", r"no image Debian12; did you mean debian12\?"),
        ("zzz", r"no image zzz\. It has debian11, debian12, debian13, opensuse-leap, rocky10,"),
    ],
)
def test_a_word_that_is_no_image(word, message):
    with pytest.raises(Fault, match=message):
        catalogue.find(catalogue.read(IMAGES), word)
