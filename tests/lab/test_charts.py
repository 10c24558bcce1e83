"""The lab's charts are those of clusters/, by name and version."""

import yaml

from fleet.paths import CLUSTERS_DIR
from fleet.workspaces import maps
from lab.charts import repository


def test_there_is_one_for_each_chart_of_the_map():
    text = (CLUSTERS_DIR / "variables.tf").read_text()
    wanted = {one["chart"]: one["version"] for one in maps.read(text, "variables.tf").charts.values()}
    found = [yaml.safe_load(path.read_text()) for path in repository.SOURCES.glob("*/Chart.yaml")]
    assert {one["name"]: one["version"] for one in found} == wanted
