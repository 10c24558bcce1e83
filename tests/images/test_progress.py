"""Progress of downloads and imports, from the lines of their tasks."""

from fleet.images import progress


def test_progress_is_shown_now_and_then(monkeypatch):
    said, kept, clock = [], [], [0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[-1])
    follow = progress.follow("a", said.append, kept.append)
    for at, line in (
        (0, "     0K .... ....  1% 9.5M 3s"),
        (4.9, "  3072K .... ....  2%  10M 3s"),
        (5.0, "2026-11-02 12:00:00 (10 MB/s) - saved"),
        (5.1, "  6144K .... .... 50%  800K 1s"),
        (9.9, "  9216K ....      100%  99M=1s"),
        (20, "transferred 1.0 GiB of 3.0 GiB (33.33%)"),
        (30, "transferred 512.0 MiB of 3.0 GiB (16.67%)"),
    ):
        clock.append(at)
        follow(line)
    assert said == ["a: 1 %, 9.5 MB/s", "a: 50 %, 800 KB/s", "a: 33 %, 51 MiB/s", "a: 17 %, 17 MiB/s"]
    assert len(kept) == 7
