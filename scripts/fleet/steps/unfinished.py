"""What a failed apply left to do, machine by machine: Terraform's own error names a resource and no value."""

from pathlib import Path
from typing import Any

from fleet.findings import Finding
from fleet.forge import step
from fleet.plans import text as plan_text
from fleet.plans.plan import Change
from fleet.steps.apply import Job, planned


def tell(job: Job, values: dict[str, Any], plan: Path) -> list[Finding]:
    """Plan again, and report each machine that still differs from its file, in the step's summary too."""
    left = [change for change in planned(job, values, plan, quiet=True) if change.kind != "none"]
    lines = [f"{change.name} failed (Terraform's error is above); {_what(change)}" for change in left]
    if not lines:
        lines = ["Terraform failed (its error is above), although nothing of the plan is left to do"]
    step.note("Failed; the next run retries it:\n\n" + "".join(f"- {line}\n" for line in lines))
    return [Finding(f"{line}. The next run retries it; all other changes were applied") for line in lines]


def _what(change: Change) -> str:
    if change.kind == "destroy":
        return "it was not destroyed"
    if change.kind in ("create", "replace"):
        return "it was not finished"
    return f"not applied: {plan_text.lines([change])[0].partition(': ')[2]}"
