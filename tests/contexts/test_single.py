"""One context of several, and the environment in which a command gets it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fleet.contexts import handover
from fleet.contexts.single import single
from fleet.findings import Fault


def entry(name: str, **cluster) -> dict:
    return {"name": name, "cluster": {"server": f"https://{name}:6443"} | cluster}


ALL = {
    "apiVersion": "v1", "kind": "Config", "current-context": "k8s-prod",
    "clusters": [entry("cozy-haven"), entry("bold-creek"), entry("[fd00::7]")],
    "contexts": [
        {"name": "k8s-dev", "context": {"cluster": "cozy-haven", "user": "cozy-haven", "namespace": "web"}},
        {"name": "k8s-prod", "context": {"cluster": "bold-creek", "user": "bold-creek"}},
        {"name": "k8s-gone", "context": {"cluster": "bold-creek", "user": "nobody"}},
        {"name": "k8s-bad", "context": {"cluster": "bold-creek", "user": "bad"}},
        {"name": "k8s-six", "context": {"cluster": "[fd00::7]", "user": "cozy-haven"}},
    ],
    "users": [
        {"name": "cozy-haven", "user": {"token": "DEV"}},
        {"name": "bold-creek", "user": {"token": "PROD"}},
        {"name": "bad", "user": {"client-key-data": "REDACTED"}},
    ],
}  # fmt: skip


def test_one_context_has_its_own_entries_alone():
    found = single(ALL, "k8s-dev")
    assert found["current-context"] == "k8s-dev"
    assert [found[part] for part in ("contexts", "clusters", "users")] == [
        [ALL[part][0]] for part in ("contexts", "clusters", "users")
    ]
    assert "PROD" not in yaml.safe_dump(found)


REFUSED = [
    ("k8s-dve", r"no context k8s-dve \(did you mean k8s-dev\?\); it has k8s-bad, k8s-dev, k8s-gone, k8s-prod"),
    ("x\x1b[2J", r"no context x\\x1b\[2J; it has"),
    ("k8s-gone", "refers to a user that does not exist"),
    ("k8s-bad", "client-key-data is redacted"),
]  # fmt: skip


@pytest.mark.parametrize(("context", "said"), REFUSED)
def test_what_is_refused(context, said):
    with pytest.raises(Fault, match=said) as caught:
        single(ALL, context)
    assert caught.value.code == 1


def test_without_any_context():
    with pytest.raises(Fault, match=r"no context k8s-dev; it has none\. A machine's context comes with"):
        single({}, "k8s-dev")


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for name in (*handover.ELSEWHERE, *handover.PROXIES, "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("memory", [True, False])
def test_it_is_handed_over(memory, monkeypatch, tmp_path):
    if not memory:
        monkeypatch.delattr(os, "memfd_create")
        monkeypatch.setattr(handover.tempfile, "tempdir", str(tmp_path))
    wanted = single(ALL, "k8s-dev")
    with handover.handed_over(wanted) as settings:
        path = settings["KUBECONFIG"]
        assert settings == {"KUBECONFIG": path, "KUBE_CONFIG_PATH": path, "KUBE_CTX": "k8s-dev"}
        assert Path(path).stat().st_mode & 0o777 == 0o600
        assert path.startswith(f"/proc/{os.getpid()}/fd/") == memory
        assert memory or Path(path).parent.stat().st_mode & 0o777 == 0o700
        for _ in range(2):  # each reader begins at its beginning
            read = subprocess.run(["cat", path], capture_output=True, text=True, check=True).stdout
            assert yaml.safe_load(read) == wanted
        script = "import os; print(*map(os.readlink, (f'/proc/self/fd/{n}' for n in os.listdir('/proc/self/fd')[:-1])))"
        inherited = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert "kubeconfig" not in inherited.stdout
    assert not Path(path).exists() and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["KUBE_HOST", "HELM_KUBECONTEXT", "KUBE_CONFIG_PATHS"])
def test_an_environment_that_leads_elsewhere_is_refused(name, monkeypatch):
    monkeypatch.setenv(name, "elsewhere")
    said = f"{name} would lead the command to another cluster"
    with pytest.raises(Fault, match=said), handover.handed_over(single(ALL, "k8s-dev")):
        pass


@pytest.mark.parametrize(
    ("context", "environment", "cluster", "expected"),
    [
        ("k8s-dev", {}, {}, None),
        ("k8s-dev", {"HTTPS_PROXY": "http://p:1"}, {}, "cozy-haven"),
        ("k8s-dev", {"https_proxy": "http://p:1", "no_proxy": "a,.b"}, {}, "a,.b,cozy-haven"),
        ("k8s-dev", {"https_proxy": "http://p:1", "NO_PROXY": "A", "no_proxy": "b"}, {}, "A,cozy-haven"),
        ("k8s-six", {"HTTPS_PROXY": "http://p:1"}, {}, "fd00::7"),
        ("k8s-dev", {"HTTPS_PROXY": "http://p:1"}, {"proxy-url": "http://own:1"}, None),
    ],
)
def test_the_cluster_is_asked_past_the_proxy(context, environment, cluster, expected, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    data = ALL | {"clusters": [one | {"cluster": one["cluster"] | cluster} for one in ALL["clusters"]]}
    with handover.handed_over(single(data, context)) as settings:
        assert settings.get("NO_PROXY") == settings.get("no_proxy") == expected
