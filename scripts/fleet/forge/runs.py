"""Waiting for a run of a workflow."""

import time
from collections.abc import Callable

from fleet.findings import Fault, Finding
from fleet.forge.api import Unreachable

GOOD = ("success", "skipped", "neutral")


def wait(ask: Callable[[], dict | None], seconds: float, grace: float, interval: float) -> Finding | None:
    """Wait with `ask() -> run`; None when the release is well, else what to warn of. Raises Fault."""
    began = time.monotonic()
    shown = trouble = ""
    pause = min(0.5, interval)
    while True:
        waited = time.monotonic() - began
        try:
            run, trouble = ask(), ""
        except Unreachable as error:
            run, trouble = None, str(error)
        if run and run["status"] == "completed":
            if run["conclusion"] in GOOD:
                print(f"release: {run['conclusion']} after {waited:.0f} s of waiting")
                return None
            said = f"the release run ended with {run['conclusion']}; Terraform continues without it"
            return Finding(f"{said}: {run.get('html_url', '')}", level="warning")
        if run is None and not trouble and waited >= grace:
            return Finding(
                f"no release run of this commit after {grace:.0f} s; Terraform continues", level="warning"
            )
        if waited >= seconds:
            if trouble:
                raise Fault(f"the API could not be asked for {seconds:.0f} s: {trouble}", code=2)
            said = f"the release run is still {run['status'] if run else 'missing'} after {seconds:.0f} s"
            return Finding(f"{said}; Terraform continues", level="warning")
        state = (
            f"the API does not answer ({trouble})" if trouble else run["status"] if run else "not there yet"
        )
        if state != shown:
            print(f"waiting for the release run, at most {seconds - waited:.0f} s more: {state}", flush=True)
            shown = state
        time.sleep(min(pause, max(0.0, seconds - waited)))
        pause = min(interval, pause * 1.2)
