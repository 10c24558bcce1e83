"""Git over HTTP: Git's own server, by CGI."""

import asyncio
import os
from pathlib import Path

from aiohttp import web


async def answer(repository: Path, request: web.Request) -> web.StreamResponse:
    """One request of a Git client; `request["who"]` is its sender."""
    writes = "git-receive-pack" in (request.path.rpartition("/")[2], request.query.get("service"))
    if writes and request["who"] == "stranger":
        return web.Response(status=403, text="Permission to lab/fleet.git denied to stranger.\n")
    body = await request.read()
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_PROJECT_ROOT": str(repository),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": "/" + request.match_info["path"],
        "QUERY_STRING": request.query_string,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "REMOTE_USER": request["who"],
        "LAB_FORGE_PUSHER": request["who"],
    }
    process = await asyncio.create_subprocess_exec(
        "git", "http-backend", env=environment,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate(body)
    head, _, data = output.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
    status = int(headers.pop("Status", "200").split()[0])
    return web.Response(status=status, headers=headers, body=data)
