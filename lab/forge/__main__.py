"""The lab's forge, for people: what ran, why it failed, and what to start by hand."""

import argparse
import asyncio
import functools
import os
import sys
from datetime import datetime

from lab import LabError, lab_dir
from lab.forge import client


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.forge", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser(
        "serve", help="the daemon itself; `python -m lab up` starts it in the lab's network"
    )
    serve.add_argument("--port", type=int, default=3000, help="0 takes a free one (default: %(default)s)")
    runs = commands.add_parser("runs", help="list the workflow runs, newest first")
    runs.add_argument("--commit", metavar="SHA", help="only those of this commit")
    for name, text in (
        ("log", "print a run's log"),
        ("summary", "print what a run's steps wrote as its summary"),
        ("rerun", "run it again"),
        ("cancel", "cancel it"),
        ("kill", "end its processes as a crash of the runner would"),
    ):
        commands.add_parser(name, help=text).add_argument("run", type=int)
    wait = commands.add_parser("wait", help="follow runs to their end; exit 1 if one did not succeed")
    wait.add_argument("runs", type=int, nargs="*", metavar="RUN", help="these runs (default: all)")
    wait.add_argument("--commit", metavar="SHA", help="the runs of this commit")
    wait.add_argument("--seconds", type=float, default=900)
    dispatch = commands.add_parser("dispatch", help="start a workflow by hand")
    dispatch.add_argument("file")
    dispatch.add_argument("inputs", nargs="*", metavar="NAME=VALUE")
    pull = commands.add_parser("pull", help="open a pull request of a pushed branch")
    pull.add_argument("branch")
    options = parser.parse_args(argv)
    try:
        return _do(options)
    except LabError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _do(options: argparse.Namespace) -> int:
    match options.command:
        case "serve":
            from lab.forge import server

            asyncio.run(server.serve(lab_dir() / "forge", options.port, dict(os.environ)))
        case "runs":
            _show(client.runs(options.commit))
        case "log":
            print(client.log(options.run), end="")
        case "summary":
            print(client.summary(options.run), end="")
        case "wait":
            report = functools.partial(print, flush=True)
            found = client.wait(options.commit, options.runs, options.seconds, report)
            _show(found)
            return int(bool(client.failed(found)))
        case "dispatch":
            inputs = dict(text.partition("=")[::2] for text in options.inputs)
            print(client.dispatch(options.file, inputs))
        case "pull":
            print(client.pull_request(options.branch)["number"])
        case "rerun" | "cancel" | "kill":
            getattr(client, options.command)(options.run)
    return 0


def _show(runs: list[dict]) -> None:
    for run in runs:
        end = run["completed_at"] or datetime.now().astimezone().isoformat()
        seconds = (
            datetime.fromisoformat(end) - datetime.fromisoformat(run["run_started_at"])
        ).total_seconds()
        state = run["conclusion"] or run["status"]
        columns = f"{run['id']:>4}  {state:<11}  {run['path'].rpartition('/')[2]:<20} {seconds:6.1f} s"
        print(f"{columns}  {run['head_sha'][:9]}  {run['event']:<17} {run['display_title']}")


if __name__ == "__main__":
    raise SystemExit(main())
