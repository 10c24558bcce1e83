"""What open requests and options approve."""

import argparse
import json

from fleet.tags import requests_file


def test_approvals_of_both_kinds_stay_apart(tmp_path):
    file = tmp_path / "requests.json"
    asked = [("ansible", "k8s"), ("destroy", "a"), ("adopt", "b"), ("destroy", "c"), ("destroy", "obs/loki"),
             ("drop-disk", "a scsi2")]  # fmt: skip
    requests = [{"action": action, "name": name} for action, name in asked]
    file.write_text(json.dumps({"head": "2" * 40, "since": "1" * 40, "requests": requests}))
    parser = argparse.ArgumentParser()
    requests_file.add_options(parser)
    options = [
        "--requests",
        str(file),
        "--approve-destroy",
        "x",
        "--approve-adopt",
        "y",
        "--approve-adopt",
        "z",
        "--approve-drop-disk",
        "b",
        "virtio1",
    ]
    assert requests_file.approvals(parser.parse_args(options)) == requests_file.Approvals(
        destroy=frozenset("acx"),
        since="1" * 40,
        adopt=frozenset("byz"),
        drop={("a", "scsi2"), ("b", "virtio1")},
    )
    assert requests_file.releases(file, ["x/y"]) == {"obs/loki", "x/y"}
    assert requests_file.releases(None, []) == frozenset()
