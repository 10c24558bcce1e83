"""Checksum files in both styles."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as some

from fleet.images.checksums import Sum, parse

SHA256, SHA512 = "a1" * 32, "b2" * 64


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{SHA256}  a.qcow2\n", Sum("a.qcow2", "sha256", SHA256)),
        (f"{SHA256} *a.img\r\n", Sum("a.img", "sha256", SHA256)),
        (f"{SHA512}  ./a.qcow2", Sum("a.qcow2", "sha512", SHA512)),
        (f"{SHA256.upper()}  a.qcow2", Sum("a.qcow2", "sha256", SHA256)),
        (f"# a.qcow2: 5 bytes\nSHA256 (a.qcow2) = {SHA256}\n", Sum("a.qcow2", "sha256", SHA256)),
        (
            f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nSHA512 (a) = {SHA512}",
            Sum("a", "sha512", SHA512),
        ),
        (f"SHA512 (a.qcow2) = {SHA256}", None),
        (f"{SHA256[:-1]}  a.qcow2", None),
        (f"{SHA256[:32]}  a.qcow2", None),
        (f"{SHA256}  ../a.qcow2", None),
        (f"{SHA256}  /etc/passwd", None),
        (f"{SHA256}  a b.qcow2", None),
        (f"\\{SHA256}  a\\nb.qcow2", None),
        (SHA256, None),
    ],
)
def test_a_line(text, found):
    assert parse(text) == ([found] if found else [])


NAMES = some.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._+=~-]{0,60}\Z")
BUILDS = some.tuples(
    NAMES, some.binary(max_size=9), some.sampled_from(["sha224", "sha256", "sha384", "sha512"])
)


@given(
    some.lists(some.tuples(BUILDS, some.sampled_from(["gnu", "binary", "bsd"]))),
    some.sampled_from(["\n", "\r\n"]),
)
def test_what_the_tools_write_is_read(builds, end):
    lines, expected = [], []
    for (name, content, algorithm), style in builds:
        digest = hashlib.new(algorithm, content).hexdigest()
        expected.append(Sum(name, algorithm, digest))
        lines.append(
            f"{algorithm.upper()} ({name}) = {digest}"
            if style == "bsd"
            else f"{digest} {'*' if style == 'binary' else ' '}{name}"
        )
    assert parse(end.join(["# by a tool", *lines, ""])) == expected


@given(some.text())
def test_no_text_breaks_it(text):
    assert all("/" not in entry.file for entry in parse(text))
