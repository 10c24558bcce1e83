"""First step of a job that has a concurrency group: ask the forge for it and wait. Standard library only."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

if __name__ == "__main__":
    import os

    from lab.forge import client

    group, job, *options = sys.argv[1:]
    print(f"waiting for concurrency group {group}", flush=True)
    question = {"run": int(os.environ["GITHUB_RUN_ID"]), "job": job, "group": group}
    question["cancel"] = "--cancel-in-progress" in options
    # A refusal has no answer: the forge cancels the run.
    client.call("POST", "/forge/gate", question, folder=Path(os.environ["LAB_FORGE"]), seconds=None)
    print("got it")
