"""First step of a job that has a concurrency group: ask the forge for it and wait. Standard library only."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

if __name__ == "__main__":
    import json
    import os

    from lab.forge import actlog, client

    job, *options = sys.argv[1:]
    group, matrix = os.environ["LAB_GROUP"], json.loads(os.environ["LAB_MATRIX"] or "null")
    print(f"waiting for concurrency group {group}", flush=True)
    question = {"run": int(os.environ["GITHUB_RUN_ID"]), "job": actlog.owner(job, matrix), "group": group}
    question |= {"cancel": "--cancel-in-progress" in options, "copy": bool(matrix)}
    # A refusal has no answer: the forge cancels the run. It cannot cancel one copy of a job, which fails instead.
    answer = client.call("POST", "/forge/gate", question, folder=Path(os.environ["LAB_FORGE"]), seconds=None)
    if refused := answer.get("refused"):
        sys.exit(f"cancelled: {refused}")
    print("got it")
