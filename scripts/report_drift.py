#!/usr/bin/env python3
"""Open, change or close the forge's one issue about drift, by what `drift.py --json` wrote.

Reads that file and GITHUB_API_URL, GITHUB_REPOSITORY and GITHUB_TOKEN (`issues: write`). The issue is ours if it has
the label drift, our marker, and was opened by a workflow. It is closed only where everything was looked at and agrees;
where something is unknown and nothing else differs, it stays as it is. The run's summary gets the same table first.
Exit codes: 0 done, 2 wrong usage or the forge is out of reach (the summary has the report).
"""

import http.client
import json
import os
from pathlib import Path

from fleet import cli
from fleet.drift import issue
from fleet.findings import Fault, guarded, printable
from fleet.forge import issues, step
from fleet.paths import shown

LABEL = "drift"
CLEAN = "All places agree again."


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("file", type=Path, help="what drift.py --json wrote")
    options = parser.parse_args(argv)
    try:
        told = json.loads(options.file.read_text("utf-8"))
        rows, unknown, body = told["rows"], told["unknown"], issue.body(told)
    except (ValueError, KeyError, TypeError) as error:
        raise Fault("is not what drift.py --json writes", shown(options.file), code=2) from error
    step.note(body if rows or unknown else CLEAN)
    names = ("GITHUB_API_URL", "GITHUB_REPOSITORY", "GITHUB_TOKEN")
    if missing := [name for name in names if not os.environ.get(name)]:
        raise Fault(f"{missing[0]} is not set; a workflow has it", code=2)
    forge = issues.Forge(*(os.environ[name] for name in names))
    try:
        if rows:
            print(issues.keep(forge, LABEL, issue.MARKER, body))
        elif unknown:
            print("something is unknown: the issue stays as it is")
        else:
            print(issues.close(forge, LABEL, issue.MARKER, CLEAN))
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        said = printable(str(error)) or type(error).__name__
        raise Fault(f"{forge.api} did not take the report ({said}); it is in the summary", code=2) from None
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
