"""Concurrency groups as GitHub has them: one owner runs, one waits, a newer takes its place."""

import asyncio


class Groups:
    """Who holds which group. An owner is (run id, job id), the job id empty for a whole run."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[int, str]] = {}
        self._pending: dict[str, tuple[tuple[int, str], asyncio.Future[str]]] = {}

    def holder(self, group: str) -> tuple[int, str] | None:
        return self._running.get(group.lower())

    async def acquire(self, group: str, owner: tuple[int, str]) -> str:
        """Wait for the group: "" when the owner has it, else the reason why it is cancelled instead."""
        key = group.lower()  # GitHub ignores the case
        running = self._running.get(key)
        if running in (None, owner):
            self._running[key] = owner
            return ""
        if running == (owner[0], "") and owner[1]:
            return (
                f"a deadlock was detected for concurrency group '{group}' between the run and job {owner[1]}"
            )
        if older := self._pending.pop(key, None):
            older[1].set_result(f"a higher priority waiting request for '{group}' exists")
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._pending[key] = (owner, future)
        try:
            return await future
        finally:
            if self._pending.get(key, (None, None))[1] is future:
                del self._pending[key]

    def release(self, run: int, job: str | None = None) -> None:
        """Give up what the run, or one job of it, holds or waits for."""
        for key, (owner, future) in list(self._pending.items()):
            if _belongs(owner, run, job) and not future.done():
                del self._pending[key]
                future.set_result("cancelled")
        for key, owner in list(self._running.items()):
            if _belongs(owner, run, job):
                del self._running[key]
                if waiting := self._pending.pop(key, None):
                    self._running[key] = waiting[0]
                    waiting[1].set_result("")


def _belongs(owner: tuple[int, str], run: int, job: str | None) -> bool:
    return owner[0] == run and job in (None, owner[1])
