"""Git as the forge uses it: one command, and what the bare repository knows about a commit."""

import asyncio
import contextlib
import sys
from pathlib import Path

from lab.forge import triggers

NO_COMMIT = "0" * 40  # what a hook gets in place of a commit when a ref is created or deleted
_HOOKS = ("post-receive", "update")


async def git(*args: str) -> str:
    """The output of one Git command; RuntimeError when it fails."""
    process = await asyncio.create_subprocess_exec(
        "git", *args, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"git {args[0]}: {err.decode().strip()}")
    return out.decode().strip()


class Repository:
    """The bare repository in LAB_DIR/forge/repo.git."""

    def __init__(self, folder: Path):
        self.folder, self.path = folder, folder / "repo.git"

    async def prepare(self) -> None:
        """Make the repository unless it exists, and install this checkout's hooks."""
        if not (self.path / "HEAD").exists():
            await git("init", "--quiet", "--bare", "--initial-branch=main", str(self.path))
        for name, value in (("http.receivepack", "true"), ("uploadpack.allowAnySHA1InWant", "true")):
            await git("-C", str(self.path), "config", name, value)
        (self.folder / "code").write_text(str(Path(__file__).resolve().parents[2]))
        script = self.folder / "hook.py"
        script.write_text(Path(__file__).with_name("hook.py").read_text())
        for name in _HOOKS:
            hook = self.path / "hooks" / name
            hook.write_text(f'#!/bin/sh\nexec {sys.executable} "{script}" {name} "$@"\n')
            hook.chmod(0o755)

    async def git(self, *args: str, check: bool = True) -> str:
        try:
            return await git("--git-dir", str(self.path), *args)
        except RuntimeError:
            if check:
                raise
            return ""

    async def workflows(self, sha: str) -> dict[str, dict]:
        """The workflow files of a commit by name."""
        names = await self.git("ls-tree", "--name-only", sha, ".github/workflows/")
        found = {}
        for path in names.splitlines():
            if path.endswith((".yml", ".yaml")):
                # GitHub shows a broken file as a failed run of no workflow.
                with contextlib.suppress(Exception):
                    found[Path(path).name] = triggers.load(await self.git("show", f"{sha}:{path}"))
        return found

    async def changed(self, before: str, after: str) -> list[str]:
        """The files that a push changed; of a new branch, those that differ from main."""
        if before == NO_COMMIT:
            empty = await self.git("hash-object", "-t", "tree", "/dev/null")
            before = empty if after == await self.git("rev-parse", "main") else f"main...{after}"
            if "..." in before:
                return (await self.git("diff", "--name-only", before)).splitlines()
        return (await self.git("diff", "--name-only", before, after)).splitlines()
