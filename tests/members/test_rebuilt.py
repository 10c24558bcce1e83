"""What is forgotten of a machine that was made again, before its cluster has ever been handed over."""

import io

import pytest

import leave_cluster
from fleet.members.tokens import Store


def test_a_server_joins_while_the_first_run_is_not_through(environment, tmp_path, monkeypatch, capsys):
    store = Store("k8s-prod")
    store.keep(f"K10{'a' * 64}::server:{store.claim('k8s-prod-cp01').token}")
    inventory = tmp_path / "k8s.ini"
    inventory.write_text("[k3s_control_plane]\nk8s-prod-cp02 ansible_host=192.0.2.2\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{environment.token}\n".encode())))
    assert leave_cluster.main(["--rebuilt", "k8s-prod-cp02", f"--inventory={inventory}"]) == 0
    assert capsys.readouterr().out.startswith("unchanged: Vault has no kubeconfig of k8s-prod")


@pytest.mark.parametrize("options", [[], ["--dry-run"], ["--rebuilt"]])
def test_a_machine_of_no_cluster_of_the_inventory(options, tmp_path, monkeypatch, capsys):
    """A slip of the pen in a cluster's name must not read as if nothing were to be done."""
    inventory = tmp_path / "k8s.ini"
    inventory.write_text("[k3s_control_plane]\nk8s-prod-cp02 ansible_host=192.0.2.2\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"token\n")))
    with pytest.raises(SystemExit) as ended:
        leave_cluster.main(["k8s-prd-cp02", f"--inventory={inventory}", *options])
    assert ended.value.code == 2
    assert "k8s-prd-cp02: " in capsys.readouterr().err
