"""What is told while the lab's parts are made, several of them side by side."""

import threading

from lab.cache import patience


def test_each_line_names_its_part(capsys):
    parts = ("Vault's core", "the root file system", "the provider")
    all_begun = threading.Barrier(len(parts))

    def make(part: str) -> None:
        with patience(part, "1 s"):
            all_begun.wait(10)

    threads = [threading.Thread(target=make, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = capsys.readouterr().err.splitlines()
    for part in parts:
        assert [line.startswith("[lab] ") for line in lines if part in line] == [True, True]
        assert f"[lab] {part} (usually 1 s)" in lines and f"[lab]   done in 0 s: {part}" in lines
