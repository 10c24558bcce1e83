"""The address that load balancers share, and what is kept of servers at a reload: the rules alone, by tables."""

import runpy

import pytest

from fleet.paths import PLAYBOOKS_DIR

ROLE = PLAYBOOKS_DIR / "roles/haproxy"
VIP = runpy.run_path(str(ROLE / "filter_plugins/haproxy_vip.py"))
CONTROL = runpy.run_path(str(ROLE / "files/control.py"))
HOSTS = {
    "haproxy-prod": {"ansible_host": "192.168.1.30", "haproxy_vip": "192.168.1.5/24"},
    "haproxy-prod-2": {"ansible_host": "192.168.1.31", "haproxy_vip": "192.168.1.5/24"},
    "haproxy-dev": {"ansible_host": "192.168.1.32"},
    "haproxy-eu": {"ansible_host": "192.168.1.33", "haproxy_vip": "192.168.1.6/24"},
    "k8s-dev": {"ansible_host": "192.168.1.20"},
    "haproxy-named": {"ansible_host": "lb.example.org"},
}


def shared(host: str = "haproxy-prod", changes: dict | None = None, peers: list[str] | None = None) -> dict:
    """For a machine of HOSTS, with variables of others changed as `name.variable`."""
    hosts = {name: dict(variables) for name, variables in HOSTS.items()}
    for place, value in (changes or {}).items():
        name, _, variable = place.partition(".")
        hosts[name][variable] = value
    groups = {"all": list(hosts), "haproxy": [name for name in hosts if name.startswith("haproxy")]}
    own = hosts[host]
    by_name = VIP["peers_by_name"](groups, host)
    return VIP["shared_address"](
        groups, host, hosts, own.get("haproxy_vip", ""), own.get("haproxy_vrrp_id", ""),
        by_name if peers is None else peers,
    )  # fmt: skip


def test_what_keepalived_is_told():
    first, second = shared(), shared("haproxy-prod-2")
    assert first == {
        "address": "192.168.1.5", "own": "192.168.1.30", "peers": ["192.168.1.31"], "id": 5,
        "priority": 200, "problems": [],
    }  # fmt: skip
    assert (second["own"], second["peers"], second["priority"]) == ("192.168.1.31", ["192.168.1.30"], 199)
    assert shared("haproxy-eu")["peers"] == [] and not shared("haproxy-eu")["problems"]


BOTH = {f"{name}.haproxy_vrrp_id": "77" for name in ("haproxy-prod", "haproxy-prod-2")}
# name: what is changed, what is said (None: nothing)
SHARED = {
    "an-id": (BOTH, None),
    "no-prefix": ({"haproxy-prod.haproxy_vip": "192.168.1.5"}, "give an IPv4 address and its prefix"),
    "ipv6": ({"haproxy-prod.haproxy_vip": "2001:db8::5/64"}, "give an IPv4 address and its prefix"),
    "no-address": ({"haproxy-prod.haproxy_vip": "vip/24"}, "give an IPv4 address and its prefix"),
    "by-name": ({"haproxy-prod.ansible_host": "lb"}, "ansible_host is an IPv4 address"),
    "peer-by-name": ({"haproxy-prod-2.ansible_host": "lb"}, "address of haproxy-prod-2"),
    "another-network": (
        {"haproxy-prod-2.ansible_host": "192.168.2.31"}, "192.168.1.5/24 is not in the network of haproxy-prod-2"
    ),
    "ends-in-0": (
        {f"{one}.haproxy_vip": "192.168.0.0/16" for one in ("haproxy-prod", "haproxy-prod-2")},
        "0 is no virtual router: give haproxy_vrrp_id, 1 to 255",
    ),
    "id-256": ({"haproxy-prod.haproxy_vrrp_id": "256"}, "256 is no virtual router"),
    "id-text": ({"haproxy-prod.haproxy_vrrp_id": "five"}, "five is no virtual router"),
    "id-of-one": ({"haproxy-prod.haproxy_vrrp_id": "77"}, "another haproxy_vrrp_id or none: give both to all"),
    "peer-without": ({"haproxy-prod-2.haproxy_vip": ""}, "its haproxy_vip is not set: give 192.168.1.5/24 to all of"),
    "a-machines-own": (
        {"k8s-dev.ansible_host": "192.168.1.5"}, "192.168.1.5 is the address of k8s-dev itself"
    ),
    "id-of-another-family": (
        {"haproxy-eu.haproxy_vrrp_id": "5"}, "haproxy-eu has the virtual router 5 too, for 192.168.1.6"
    ),
    "address-of-another-family": (
        {"haproxy-eu.haproxy_vip": "192.168.1.5/24"}, "haproxy-eu shares 192.168.1.5 too, but is no peer"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SHARED)
def test_a_shared_address(case: str):
    changes, said = SHARED[case]
    problems = shared(changes=changes)["problems"]
    assert (not problems) if said is None else any(said in one for one in problems), problems


def test_peers_that_are_given():
    assert (
        "names haproxy-lost, which the inventory does not have"
        in shared(peers=["haproxy-lost"])["problems"][0]
    )
    alone = shared(peers=[])
    assert alone["peers"] == [] and "haproxy-prod-2 shares 192.168.1.5 too" in alone["problems"][0]


CONFIGURED = """
backend web
    server a 10.0.0.1:80 check
    server b [2001:db8::1]:80 check
    server named web.example.org:80 check
backend other
    server a 10.0.0.9:81 check
"""
LINE = "3 {} 1 {} {} 0 0 1 1 9 6 3 1 6 0 0 0 {} {} - 0 0 - - 0"
# A server in HAProxy's answer, whether its state is kept
KEPT = {
    "same": (LINE.format("web", "a", "10.0.0.1", "-", 80), True),
    "ipv6": (LINE.format("web", "b", "2001:db8::1", "-", 80), True),
    "another-back-end": (LINE.format("other", "a", "10.0.0.9", "-", 81), True),
    "another-address": (LINE.format("web", "a", "10.0.0.2", "-", 80), False),
    "another-port": (LINE.format("web", "a", "10.0.0.1", "-", 81), False),
    "gone": (LINE.format("web", "c", "10.0.0.3", "-", 80), False),
    "by-its-name": (LINE.format("web", "named", "10.0.0.4", "web.example.org", 80), False),
    "cut-off": ("3 web 1 a", False),
}


@pytest.mark.parametrize("case", KEPT)
def test_what_is_known_of_a_server_is_kept_only_if_it_is_the_same(case: str):
    line, stays = KEPT[case]
    kept = CONTROL["kept"](f"1\n# be_id be_name\n{line}\n\n", CONFIGURED)
    assert kept == "1\n# be_id be_name\n" + (f"{line}\n" if stays else "")


def test_a_haproxy_that_says_nothing():
    assert CONTROL["kept"]("", CONFIGURED) == "1\n"
