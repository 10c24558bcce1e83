"""From moving addresses to dated ones, on sites that are laid out as the real ones, and on bad ones."""

import pytest

from fleet.findings import Fault
from fleet.images import resolve, web
from fleet.images.catalogue import Image
from fleet.images.lock import Locked

DEBIAN = "/images/cloud/bookworm/"
ROCKY = "/pub/rocky/9/images/x86_64/"
SUSE = "/distribution/leap/16.0/appliances/"
GENERIC = "debian-12-generic-amd64"


def debian(site, **fields):
    latest = f"{site.url}{DEBIAN}latest/"
    return Image(
        "debian12",
        f"{latest}{GENERIC}.qcow2",
        f"{latest}SHA512SUMS",
        "debian",
        builds=site.url + DEBIAN,
        **fields,
    )


def rocky(site, sums="CHECKSUM"):
    url = f"{site.url}{ROCKY}Rocky-9-GenericCloud-Base.latest.x86_64.qcow2"
    return Image(
        "rocky9", url, f"{site.url}{ROCKY}CHECKSUM" if sums == "CHECKSUM" else f"{url}{sums}", "rocky"
    )


@pytest.fixture
def bookworm(site):
    """Debian's layout, with an older and a newer build; the checksum of the newer one."""
    site.publish(f"{DEBIAN}20251101-2200/", f"{GENERIC}-20251101-2200.qcow2", content="old")
    site.publish(
        f"{DEBIAN}20261102-2267/", f"{GENERIC}-20261102-2267.qcow2", "debian-12-nocloud.qcow2", content="new"
    )
    site.publish(f"{DEBIAN}daily/latest/", f"{GENERIC}.qcow2", content="today")
    return site.publish(f"{DEBIAN}latest/", f"{GENERIC}.qcow2", content="new")


def test_debian(site, bookworm):
    image = debian(site, agent=True, firmware="ovmf")
    url = f"{site.url}{DEBIAN}20261102-2267/{GENERIC}-20261102-2267.qcow2"
    expected = Locked("debian12", url, "sha512", bookworm, "2026-11-02", 3, "debian", True, "ovmf")
    assert resolve.newest(image) == expected
    assert len(site.asked) == 4  # the sums, the listing, the newest folder's sums, the size


def test_what_is_locked_is_looked_at_and_kept(site, bookworm):
    known = resolve.newest(debian(site))._replace(date="2026-11-01")
    site.asked.clear()
    assert resolve.newest(debian(site), known) is known
    assert [one.split()[0] for one in site.asked] == ["GET", "HEAD"]
    gone = known._replace(url=f"{site.url}/gone.qcow2")
    assert resolve.newest(debian(site), gone).url == known.url


def test_ubuntu(site):
    name = "ubuntu-24.04-server-cloudimg-amd64.img"
    for folder, content in (("release-20251101", "a"), ("release-20261101", "b"), ("release", "b")):
        digest = site.publish(f"/releases/24.04/{folder}/", name, content=content, sums="SHA256SUMS")
    top = f"{site.url}/releases/24.04/"
    image = Image("ubuntu24", f"{top}release/{name}", f"{top}release/SHA256SUMS", "ubuntu", builds=top)
    build = resolve.newest(image)
    assert build == Locked(
        "ubuntu24", f"{top}release-20261101/{name}", "sha256", digest, "2026-11-01", 1, "ubuntu"
    )
    assert build.file == f"ubuntu24-20261101-{digest[:8]}.qcow2"


ROCKIES = [
    ("Rocky-9-GenericCloud-Base-9.6-20250531.0.x86_64.qcow2", "old"),
    ("Rocky-9-GenericCloud-Base-9.10-20261102.0.x86_64.qcow2", "new"),
    ("Rocky-9-GenericCloud-LVM-9.10-20261103.0.x86_64.qcow2", "new"),
    ("Rocky-9-GenericCloud-Base.latest.x86_64.qcow2", "new"),
]


def test_rocky_with_one_checksum_file_for_all(site):
    for name, content in ROCKIES:
        digest = site.publish(ROCKY, name, content=content, sums="CHECKSUM")
    build = resolve.newest(rocky(site))
    assert (build.url, build.checksum) == (f"{site.url}{ROCKY}{ROCKIES[1][0]}", digest)
    assert (build.date, build.algorithm) == ("2026-11-02", "sha256")


def test_rocky_with_a_checksum_file_for_each(site):
    for name, content in ROCKIES:
        site.publish(f"{ROCKY}", name, content=content, sums="CHECKSUM")
        site.files[f"{ROCKY}{name}.CHECKSUM"] = site.files.pop(f"{ROCKY}CHECKSUM")
    assert resolve.newest(rocky(site, ".CHECKSUM")).url == f"{site.url}{ROCKY}{ROCKIES[1][0]}"


@pytest.mark.parametrize("named", ["moving", "dated"])
def test_opensuse_whose_builds_have_numbers_and_no_dates(site, named):
    """Its checksum files name one or the other; the day is that of the file's last change."""
    moving, build = (
        "Leap-16.0-Minimal-VM.x86_64-Cloud.qcow2",
        "Leap-16.0-Minimal-VM.x86_64-Cloud-Build16.2.qcow2",
    )
    digest = site.publish(SUSE, build, content="new", sums=f"{build}.sha256")
    site.publish(SUSE, moving, content="new", sums=f"{moving}.sha256")
    if named == "dated":
        site.files[f"{SUSE}{moving}.sha256"] = site.files[f"{SUSE}{build}.sha256"]
    url = f"{site.url}{SUSE}{moving}"
    found = resolve.newest(Image("opensuse-leap", url, f"{url}.sha256", "opensuse"))
    assert (found.url, found.checksum, found.date) == (f"{site.url}{SUSE}{build}", digest, "2026-11-03")


def test_a_folder_that_is_not_complete_is_passed_over(site, bookworm):
    site.files[f"{DEBIAN}20261109-2270/README"] = b""
    assert resolve.newest(debian(site)).date == "2026-11-02"


def test_only_the_newest_folders_are_looked_at(site, bookworm):
    for day in range(10, 18):
        site.publish(f"{DEBIAN}202611{day}-1/", f"{GENERIC}.qcow2", content=str(day))
    with pytest.raises(Fault, match="has no dated build with the checksum that"):
        resolve.newest(debian(site))
    assert len(site.asked) == 2 + resolve.MOST_BUILDS


@pytest.mark.parametrize(("status", "size"), [(405, 0), (403, 0)])
def test_a_server_that_refuses_head(site, bookworm, status, size):
    site.faults[f"{DEBIAN}20261102-2267/{GENERIC}-20261102-2267.qcow2"] = status
    assert resolve.newest(debian(site)).size == size


SUMS = f"{DEBIAN}latest/SHA512SUMS"


@pytest.mark.parametrize(
    ("path", "fault", "message"),
    [
        (SUMS, 404, r"latest/SHA512SUMS answers 404 Not Found"),
        (SUMS, 500, r"latest/SHA512SUMS answers 500 Internal Server Error"),
        (SUMS, "cut", r"latest/SHA512SUMS is cut off after \d+ bytes: try again"),
        (SUMS, "slow", r"latest/SHA512SUMS is too slow: try again later"),
        (SUMS, "http://127.0.0.1/", r"SHA512SUMS leads to http://127\.0\.0\.1/, and only https is followed"),
        (SUMS, "file:///etc/passwd", r"SHA512SUMS answers 302 .*is not allowed"),
        (SUMS, "ftp://127.0.0.1/", r"and only https is followed"),
        (DEBIAN, "endless", r"answers with more than \d+ bytes, which is no listing or checksum file"),
        (f"{DEBIAN}20261102-2267/{GENERIC}-20261102-2267.qcow2", 404, r"-2267\.qcow2 answers 404"),
        (f"{DEBIAN}20261102-2267/SHA512SUMS", 503, r"2267/SHA512SUMS answers 503"),
    ],
)
def test_a_site_that_misbehaves(site, bookworm, path, fault, message):
    site.faults[path] = fault
    with pytest.raises(Fault, match=message):
        resolve.newest(debian(site))


def test_a_redirect_in_a_circle(site, bookworm):
    site.faults[SUMS] = site.url + SUMS
    with pytest.raises(Fault, match="SHA512SUMS answers 302"):
        resolve.newest(debian(site))


def test_a_site_that_moved_keeps_the_catalogues_addresses(site, bookworm):
    """As Debian's, which hands files out by its mirrors: what is locked is the address that lasts."""
    for path in list(site.files):
        site.faults["/here" + path] = site.url + path
    site.faults["/here" + DEBIAN] = site.url + DEBIAN
    here = f"{site.url}/here{DEBIAN}"
    image = debian(site)._replace(
        url=f"{here}latest/{GENERIC}.qcow2", checksums=f"{here}latest/SHA512SUMS", builds=here
    )
    build = resolve.newest(image)
    assert (build.url, build.size) == (f"{here}20261102-2267/{GENERIC}-20261102-2267.qcow2", 3)


def test_a_certificate_that_is_not_trusted(site, bookworm, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(Fault, match=r"the certificate of .*SHA512SUMS is refused: self-signed certificate"):
        resolve.newest(debian(site))


def test_a_site_that_is_away(site):
    image = debian(site)._replace(checksums="https://127.0.0.1:9/SHA512SUMS")
    with pytest.raises(Fault, match=r"https://127\.0\.0\.1:9/SHA512SUMS cannot be read: .*refused"):
        resolve.newest(image)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", r"latest/SHA512SUMS does not name debian-12-generic-amd64\.qcow2, the file of https://.*/latest/deb"),
        (b"<html>login</html>", "does not name"),
        (b"\xff\x00", "does not name"),
        (b"a" * 128 + f"  {GENERIC}.qcow2\n".encode() + b"b" * 128 + f"  {GENERIC}.qcow2\n".encode(),
         f"gives two checksums for {GENERIC}"),
        (b"a" * 128 + f"  {GENERIC}.qcow2\n".encode(), "/bookworm/ has no dated build with the checksum"),
    ],
)  # fmt: skip
def test_a_checksum_file_that_does_not_help(site, bookworm, text, message):
    site.files[SUMS] = text
    with pytest.raises(Fault, match=message):
        resolve.newest(debian(site))


HOSTILE = [
    "https://evil.example/20261103-1/",
    "//evil.example/20261103-1/",
    "/20261103-1/",
    "../20261103-1/",
    "20261103-1/../../x/",
    "20261103-1%2f..%2fx/",
    "20261103-1?x=/",
    "20261103-1\\x/",
    "20261103-1%00/",
    "20261103-1%0a/",
    "&#x2f;&#x2f;evil.example&#x2f;20261103-1/",
    "https://[20261103/",
    "javascript:20261103/",
    ".20261103/",
    "20261103-1/SHA512SUMS",
    "-20261103/",
    "a20261103" * 40 + "/",
]


@pytest.mark.parametrize("link", HOSTILE)
def test_a_listing_cannot_lead_elsewhere(site, bookworm, link):
    site.files[DEBIAN] = f'<a href="{link}">x</a>'.encode()
    with pytest.raises(Fault, match="has no dated build"):
        resolve.newest(debian(site))
    assert len(site.asked) == 2


def test_links_are_found_however_they_are_written(site):
    site.files["/list/"] = (
        b"<A HREF='./a.qcow2'>x</A><a href=b.qcow2>x</a><a href = \"c%2Bd.qcow2\">x</a><a>x</a>"
    )
    assert list(resolve._names(f"{site.url}/list/")) == ["a.qcow2", "b.qcow2", "c+d.qcow2"]


def test_a_page_of_nothing_but_links_takes_no_time(site):
    site.files["/list/"] = b"<a href=" * (web.MOST // 9)
    assert list(resolve._names(f"{site.url}/list/")) == []
