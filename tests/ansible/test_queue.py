"""The queue's lines: read, changed by content, never truncated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.ansible.queue import Entry, edit, parse, remove

A, B = Entry("10.0.0.1", "k8s-a"), Entry("10.0.0.2", "k8s-b", "k8s")


@pytest.mark.parametrize(
    ("line", "entry", "said"),
    [
        ("10.0.0.1,k8s-a", A, ""),
        (" 10.0.0.2 , k8s-b , k8s ", B, ""),
        ("10.0.0.1,k8s-a,", A, ""),
        ("2001:db8::1,k8s-a", Entry("2001:db8::1", "k8s-a"), ""),
        ("# 10.0.0.1,k8s-a", None, ""),
        ("", None, ""),
        ("10.0.0.1", None, "expected IP,hostname"),
        ("10.0.0.1,", None, "expected IP,hostname"),
        ("10.0.0.1,a,b,c", None, "expected IP,hostname"),
        ("10.0.0.1,k8s a", None, "'k8s a' is not a host name"),
        ("10.0.0.1,$(id)", None, "not a host name"),
        ("10.0.0.1,all[0]", None, "not a host name"),
        ("10.0.0.1,a,../../x", None, "not a playbook's name"),
        ("10.0.0.1,a,x.yml", None, "not a playbook's name"),
        ("\t10.0.0.1,k8s-a \t", A, ""),
        ("\ufeff10.0.0.1,k8s-a", A, ""),
        (",", None, "expected IP,hostname"),
        ("-oProxyCommand=id,k8s-a", None, "is not an address"),
        ("10.0.0.1,k8s-а", None, "not a host name"),  # noqa: RUF001 the last letter is Cyrillic
    ],
)
def test_lines(line, entry, said):
    entries, found = parse(f"# one\n{line}\n", "new_hosts.txt")
    assert [one for _, one in entries] == ([entry] if entry else [])
    assert [finding.line for finding in found] == ([2] if said else [])
    assert not said or said in found[0].message


@pytest.mark.parametrize(
    ("before", "gone", "after"),
    [
        ("# q\n10.0.0.1,k8s-a\n\n10.0.0.2,k8s-b,k8s\n", [A], "# q\n\n10.0.0.2,k8s-b,k8s\n"),
        ("10.0.0.1,k8s-a\r\n10.0.0.2,k8s-b,k8s", [B], "10.0.0.1,k8s-a\r\n"),
        ("10.0.0.1,k8s-a\n10.0.0.1,k8s-a,k8s\n", [A], "10.0.0.1,k8s-a,k8s\n"),
        # Made anew meanwhile, at another address: it has to be played again.
        ("10.0.0.9,k8s-a\n", [A], "10.0.0.9,k8s-a\n"),
        ("broken line\n", [A], "broken line\n"),
        ("", [A], ""),
    ],
)
def test_remove(before, gone, after):
    assert remove(before, gone) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "10.0.0.1,k8s-a\n"),
        ("# q", "# q\n10.0.0.1,k8s-a\n"),
        ("# q\r\n", "# q\r\n10.0.0.1,k8s-a\r\n"),
        ("10.0.0.9,k8s-a\n", "10.0.0.9,k8s-a\n"),
        ("10.0.0.9,k8s-a,x\n10.0.0.9,k8s-a,x\n", "10.0.0.9,k8s-a,x\n10.0.0.1,k8s-a\n"),
    ],
)
def test_add_and_deduplicate(before, after):
    assert edit(before, lambda entry: entry, [A, A]) == after


def test_a_changed_line_keeps_its_place_and_its_end():
    text = "# q\r\n10.0.0.1, k8s-a\r\n# end"
    assert edit(text, lambda entry: entry._replace(playbook="k8s")) == "# q\r\n10.0.0.1,k8s-a,k8s\r\n# end"


ENTRIES = st.builds(
    Entry,
    st.integers(1, 254).map("10.0.0.{}".format),
    st.sampled_from(["k8s-a", "k8s-ab", "db"]),
    st.sampled_from([None, "k8s", "base"]),
)
LINES = (
    ENTRIES.map(Entry.text)
    | st.sampled_from(["", "# note", "nonsense", " 10.0.0.1 ,x,", "\u2028"])
    | st.text()
)
TEXTS = st.builds(
    lambda lines, end: end.join(lines), st.lists(LINES, max_size=8), st.sampled_from(["\n", "\r\n"])
)


@given(TEXTS)
def test_nothing_is_lost_or_reordered(text):
    kept = edit(text, lambda entry: entry)
    assert {entry[1:] for _, entry in parse(kept)[0]} == {entry[1:] for _, entry in parse(text)[0]}
    assert edit(kept, lambda entry: entry) == kept
    if len({entry[1:] for _, entry in parse(text)[0]}) == len(parse(text)[0]):
        assert kept == text


@given(TEXTS, st.lists(ENTRIES, max_size=4))
def test_what_is_added_can_be_removed(text, entries):
    text = edit(text, lambda entry: entry)
    if text and not text.endswith("\n"):
        text += "\n"
    there = {entry[1:] for _, entry in parse(text)[0]}
    entries = [entry for entry in entries if entry[1:] not in there]
    assert remove(edit(text, lambda entry: entry, entries), entries) == text
