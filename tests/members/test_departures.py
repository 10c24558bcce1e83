"""Which members leave: what a run makes of the machines, without any cluster."""

import pytest

from fleet.members.departures import Fleet

P = "k8s-prod-"


def fleet(going: str, replaced: str, staying: str) -> Fleet:
    names = [
        frozenset(P + name if len(name) < 5 else name for name in text.split())
        for text in (going, replaced, staying)
    ]
    return Fleet(*names, {})


@pytest.mark.parametrize(
    ("case", "leaving", "ending"),
    [
        (fleet("w01", "", "cp01 w02"), ["w01"], []),
        (fleet("cp02 w01", "", "cp01 cp03"), ["w01", "cp02"], []),
        (fleet("", "cp02", "cp01 cp02 cp03"), ["cp02"], []),
        (fleet("cp01 w01", "", ""), [], ["k8s-prod"]),
        (fleet("cp01", "", "w01"), [], ["k8s-prod"]),  # no API is left that could be asked
        (fleet("", "cp01 cp02", "cp01 cp02"), [], ["k8s-prod"]),
        (fleet("cp03", "cp01 cp02", "cp01 cp02"), [], ["k8s-prod"]),
        (
            fleet("w01", "", "k8s-prod k8s-other-cp01"),
            [],
            ["k8s-prod"],
        ),  # one machine of that name is no member
        (fleet("k8s-dev haproxy-prod", "web-dev", "cp01"), [], []),
        (
            fleet("talos-prod-w1 talos-prod-cp2", "", "talos-prod-cp1"),
            ["talos-prod-w1", "talos-prod-cp2"],
            [],
        ),
        (fleet("talos-prod-w1 talos-prod-cp1", "", "cp01"), [], ["talos-prod"]),
        (fleet("", "", "cp01"), [], []),
    ],
)
def test_who_leaves(case, leaving, ending):
    assert [name.removeprefix(P) for names in case.clusters().values() for name in names] == leaving
    assert case.ending() == ending
