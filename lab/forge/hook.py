"""Git hook of the forge's repository; the same file is post-receive and update. Standard library only.

post-receive leaves each push as a file in events/, from where the forge takes it even if it was away, then
tells the forge. update refuses a workflow's own pushes to a protected branch, in GitHub's words.
"""

import json
import os
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
        client.call("POST", "/forge/pushed", {}, folder=FORGE, seconds=20)
    except client.ForgeError:
        print("the forge is not running; it will start the workflows when it does", file=sys.stderr)


if __name__ == "__main__":
    if sys.argv[1] == "update":
        raise SystemExit(update(sys.argv[2]))
    post_receive(sys.stdin.read().splitlines())
