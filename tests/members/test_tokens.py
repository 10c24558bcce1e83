"""A cluster's tokens in a real Vault: who may write what, and what two runs at once come to."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from fleet.findings import Fault
from fleet.members.tokens import Store, retire
from fleet.vault.secret import Secret

HASH, OTHER = "a" * 64, "b" * 64
CP01, CP02 = "k8s-prod-cp01", "k8s-prod-cp02"


@pytest.fixture
def store(environment) -> Store:
    return Store("k8s-prod")


def fields() -> dict:
    return Secret("cluster-bootstrap/k8s-prod").read().data


def full(token: str, authority: str = HASH) -> str:
    return f"K10{authority}::server:{token}"


def test_the_life_of_a_cluster(store):
    assert store.read() == ("", "", "")
    made = store.claim(CP01)
    assert (len(made.token), made.starter, made.server_token) == (64, CP01, "")
    assert made.password == made.token
    assert store.claim(CP01) == made == store.claim(CP02)  # what was noted first holds
    assert store.keep(full(made.token)) and not store.keep(full(made.token))
    known = store.read()
    assert known == (made.token, full(made.token), "")
    assert (known.authority, known.password) == (HASH, made.token)
    assert store.claim(CP02) == known  # it runs: nobody starts it again
    assert set(fields()) == {"token", "server_token"}


def test_another_cluster_takes_the_name_of_one_that_is_gone(store):
    assert not retire("k8s-prod") and not retire("talos-prod")  # nothing is written where nothing was
    old = store.claim(CP01)
    store.keep(full(old.token))
    assert retire("k8s-prod") and not retire("k8s-prod")
    assert store.read() == ("", "", "")
    assert store.claim(CP02).token not in ("", old.token)
    assert Secret("cluster-bootstrap/k8s-prod").read().version == 4  # the old ones can be brought back


def test_many_runs_at_once_make_one_cluster(environment):
    names = [f"k8s-prod-cp{number:02}" for number in range(1, 9)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda name: Store("k8s-prod").claim(name), names))
    assert len(set(made)) == 1


def test_a_starter_that_is_gone_is_replaced_with_its_token(store):
    made = store.claim(CP01)
    assert store.claim(CP02, instead=CP01) == (made.token, "", CP02)


def test_started_from_nothing_on_purpose_the_token_stays(store):
    made = store.claim(CP01)
    store.keep(full(made.token))
    assert store.claim(CP02, anew=True) == (made.token, "", CP02)
    assert store.keep(full(made.token, OTHER))


def test_a_token_that_a_person_wrote_is_used_and_other_fields_stay(store):
    Secret("cluster-bootstrap/k8s-prod").write({"token": "of-a-person", "note": "kept"}, 0)
    assert store.claim(CP01).token == "of-a-person"
    store.keep(full("of-a-person"))
    assert fields() == {"token": "of-a-person", "note": "kept", "server_token": full("of-a-person")}


def test_a_cluster_made_by_hand_has_only_the_full_token(store):
    Secret("cluster-bootstrap/k8s-prod").write({"server_token": full("by-hand")}, 0)
    assert store.read().password == "by-hand"
    assert not store.keep(full("by-hand"))


@pytest.mark.parametrize("old", [{}, {"token": "before-it-was-rotated"}])
def test_started_from_nothing_the_token_that_its_snapshots_need_stays(store, old):
    Secret("cluster-bootstrap/k8s-prod").write(old | {"server_token": full("by-hand")}, 0)
    assert store.claim(CP01, anew=True) == ("by-hand", "", CP01)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("K10abc::server:x", "not one of K3s"),
        (full("another"), "K3s was started with another. If Vault's was overwritten"),
        (full("TOKEN", OTHER), "belongs to another cluster than the one in Vault"),
    ],
)
def test_what_a_server_says_is_held_against_vault(store, given, said):
    made = store.claim(CP01)
    store.keep(full(made.token))
    before = fields()
    with pytest.raises(Fault, match=said) as fault:
        store.keep(given.replace("TOKEN", made.token))
    assert fields() == before
    assert made.token not in str(fault.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"token": 7}, "field token of kv/cluster-bootstrap/k8s-prod is not a string"),
        ({"token": "two words"}, "contains white space"),
        ({"token": "x", "server_token": "K10::x"}, "is not a token of K3s"),
    ],
)
def test_what_a_person_broke_is_named(store, data, said):
    Secret("cluster-bootstrap/k8s-prod").write(data, 0)
    with pytest.raises(Fault, match=said):
        store.read()
