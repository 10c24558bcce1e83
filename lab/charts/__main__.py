"""Serve the lab's charts: python -m lab.charts

The repository is http://192.168.1.1:8081, as the variable CHART_MIRROR has it. Runs until it is ended.
"""

import shutil
import urllib.parse

from lab import CHARTS_URL, lab_dir
from lab.charts import repository


def main() -> None:
    folder = lab_dir() / "charts"
    shutil.rmtree(folder, ignore_errors=True)  # charts of an earlier version of this checkout
    repository.pack(folder)
    at = urllib.parse.urlsplit(CHARTS_URL)
    with repository.server(folder, (str(at.hostname), at.port or 80)) as made:
        print(f"charts at {CHARTS_URL}", flush=True)
        made.serve_forever()


if __name__ == "__main__":
    main()
