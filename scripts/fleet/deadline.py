"""An end for what a machine may draw out: a timeout of a connection counts from byte to byte, and starts again."""

import contextlib
import signal
from collections.abc import Iterator


class _Expired(Exception):
    """Not an OSError, which a library would take for a broken connection and try again."""


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TimeoutError after so many seconds. In the main thread only."""

    def expire(*_: object) -> None:
        raise _Expired

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _Expired:
        raise TimeoutError("its answer did not end in time") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
