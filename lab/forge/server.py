"""The forge's daemon: Git over HTTP, the part of GitHub's REST API that is used here, and the runs.

Everything is kept in LAB_DIR/forge: repo.git, forge.db (the runs), runs/ID.ATTEMPT/ (log.txt, log.jsonl,
summary.md), events/ (pushes not yet seen), settings.json (optional changes of `secrets`, `vars` and `env`; a
null removes one), protected (refs that a workflow's own token may not push to), socket (the same API, for
this machine's root, without a token).
"""

import asyncio
import os
import signal
from pathlib import Path

from aiohttp import web

from lab.forge.git import Repository
from lab.forge.pushes import Events
from lab.forge.rest import Rest
from lab.forge.runs import Runs


async def serve(folder: Path, port: int, environment: dict[str, str]) -> None:
    """Serve until SIGTERM. Writes the address to `url` in the folder once it answers."""
    folder.mkdir(parents=True, exist_ok=True)
    repository = Repository(folder)
    await repository.prepare()
    runs = Runs(repository, environment)
    rest = Rest(Events(repository, runs), runs)
    runners = [
        web.AppRunner(rest.application(trusted), access_log=None, shutdown_timeout=1)
        for trusted in (True, False)
    ]
    for one in runners:
        await one.setup()
    (folder / "socket").unlink(missing_ok=True)
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)  # a socket's path must be shorter than 108 bytes
    await web.UnixSite(runners[0], f"/proc/self/fd/{handle}/socket").start()
    (folder / "socket").chmod(0o600)
    site = web.TCPSite(runners[1], "127.0.0.1", port)
    await site.start()
    runs.url = f"http://127.0.0.1:{runners[1].addresses[0][1]}"
    (folder / "url").write_text(runs.url)
    runs.resume()
    await rest.events.take()
    rest.ready = True
    print(f"serving {runs.url}", flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await runs.close()
    for one in runners:
        await one.cleanup()
