"""Git hook of the forge's repository; the same file is post-receive and update. Standard library only.

post-receive writes each push to a file in events/, where a forge that was not running finds it later, then
notifies the forge and prints the runs that it started; Git shows these lines to the person who pushes, after
"remote: ". update refuses a workflow's own pushes to a protected branch, in GitHub's words.
"""

import json
import os
import shlex
import sys
import time
from pathlib import Path

FORGE = Path(__file__).resolve().parent  # the hook is copied into LAB_DIR/forge
sys.path.insert(0, (FORGE / "code").read_text())


def update(ref: str) -> int:
    protected = (FORGE / "protected").read_text().split() if (FORGE / "protected").exists() else []
    if os.environ.get("LAB_FORGE_PUSHER", "").startswith("run") and ref in protected:
        print(f"error: GH006: Protected branch update failed for {ref}.", file=sys.stderr)
        return 1
    return 0


def post_receive(lines: list[str]) -> None:
    events = FORGE / "events"
    events.mkdir(exist_ok=True)
    pushed = [dict(zip(("before", "after", "ref"), line.split(), strict=True)) for line in lines]
    event = {"pusher": os.environ.get("LAB_FORGE_PUSHER", "person"), "pushed": pushed}
    name = f"{time.time_ns()}-{os.getpid()}"
    (events / f".{name}").write_text(json.dumps(event))
    (events / f".{name}").rename(events / f"{name}.json")

    from lab.forge import client

    try:
        started = client.call("POST", "/forge/pushed", {"event": name}, folder=FORGE, seconds=20)["started"]
    except client.ForgeError:
        print("the forge is not running; it will start the workflows when it does", file=sys.stderr)
        return
    for run in started:
        print(f"started {client.name(run)} #{run['id']}", file=sys.stderr)
    if started:
        print(f"follow it with: {follow([run['id'] for run in started])}", file=sys.stderr)


def follow(runs: list[int]) -> str:
    """The command that follows the runs, for a shell in any folder."""
    from lab import ROOT, lab_dir

    python = Path(sys.executable)
    command = [str(python.relative_to(ROOT) if python.is_relative_to(ROOT) else python)]
    command += ["-m", "lab.forge", "wait", *map(str, runs)]
    os.environ.pop("LAB_DIR", None)
    elsewhere = "" if lab_dir() / "forge" == FORGE else f"LAB_DIR={shlex.quote(str(FORGE.parent))} "
    return f"(cd {shlex.quote(str(ROOT))} && {elsewhere}{shlex.join(command)})"


if __name__ == "__main__":
    if sys.argv[1] == "update":
        raise SystemExit(update(sys.argv[2]))
    post_receive(sys.stdin.read().splitlines())
