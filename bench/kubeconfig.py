"""update_kubeconfig.py against `kubectl config view --flatten`."""

import base64
import functools
import subprocess
import tempfile
from pathlib import Path

import yaml

from bench import ENVIRONMENT, SCRIPTS, Command, Row, grown, label, medians, patched, script
from lab import builds
from tests.helpers import vault_server

NOTE = """
`update_kubeconfig.py` merges a K3s file into a kubeconfig of that many clusters, against `kubectl config
view --flatten` with both files in `KUBECONFIG`. In the first rows the secret is a file and Vault's client
is not loaded; in the others it is a Vault on the same machine, which takes no text above 1 MiB.
"""
SIZES = [10, 100, 1000]
LIMIT = 1 << 20  # Vault takes no longer text, unless told to
# The secret is a file, Vault's client is not loaded, and no API is asked; all else is the script.
FILE = """
import os, pathlib
from fleet.clusters import vault
class Store:
    place = "the file"
    def __init__(self, *_): pass
    def change(self, edit):
        file = pathlib.Path(os.environ["STORED"])
        text = edit(file.read_text())
        file.with_suffix(".new").write_text(text)
        return vault.Write(True, 1)
vault.Store = Store
from fleet.steps import cluster
cluster.uid_of = lambda *_: None
"""


def kubeconfig(*names: str, cluster: str = "") -> dict:
    """A kubeconfig as K3s writes it, with certificates of the usual length; `cluster`: every name in it."""
    data = {"apiVersion": "v1", "kind": "Config", "current-context": cluster or names[0]}
    data |= {"clusters": [], "contexts": [], "users": []}
    for number, name in enumerate(names):
        secret = [base64.b64encode(f"{part}{name}".encode() * 90).decode()[:size] for part, size in
                  (("ca", 760), ("crt", 1500), ("key", 300))]  # fmt: skip
        own = cluster or f"cluster-{name}"
        host = "127.0.0.1" if cluster else f"10.1.{number // 200}.{number % 200 + 2}"
        place = {"certificate-authority-data": secret[0], "server": f"https://{host}:6443"}
        data["clusters"].append({"cluster": place, "name": own})
        data["contexts"].append({"context": {"cluster": own, "user": own}, "name": cluster or name})
        user = {"client-certificate-data": secret[1], "client-key-data": secret[2]}
        data["users"].append({"name": own, "user": user})
    return data


def rows(runs: int) -> list[Row]:
    merge, through = [], []
    builds.build(next(build for build in builds.BUILDS if build.name == "kubernetes"))
    kubectl = str(builds.entry("kubernetes") / "kubectl")
    with vault_server.running() as vault, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        new, inventory, stored = folder / "k3s.yaml", folder / "k8s.ini", folder / "stored.yaml"
        new.write_text(yaml.safe_dump(kubeconfig("k8s-new", cluster="default")))
        inventory.write_text("k8s-new ansible_host=10.1.255.250\n")
        options = ("--kubeconfig", new, "--inventory-name", "k8s-new", "--inventory", inventory)
        env = {"VAULT_ADDR": vault.url, "VAULT_TOKEN": vault.token, "STORED": str(stored)}
        env |= {"KUBECONFIG": f"{stored}:{new}"}
        for size in SIZES:
            text = yaml.safe_dump(kubeconfig(*(f"k8s-{number:04}" for number in range(size))))
            stored.write_text(text)
            commands = [
                Command([kubectl, "config", "view", "--flatten"], folder, env=env),
                Command(patched("update_kubeconfig", FILE, *options), SCRIPTS, env=env),
            ]
            if len(text) < LIMIT:
                write = functools.partial(vault.write, KUBECONFIG=text)
                commands.append(Command(script("update_kubeconfig", *options), SCRIPTS, write, env))
            peer, ours, *whole = medians(runs, *commands)
            count, goal = label(size, "cluster"), 1 if size >= 100 else None
            merge.append(Row("update_kubeconfig.py / kubectl config view --flatten", count, ours, peer, goal))
            through += [Row("… with Vault's client and round trips", count, own, peer) for own in whole]
    return grown(merge, SIZES) + grown(through, SIZES[: len(through)])


def lost(count: int = 10) -> str:
    """How many clusters are left of `count` machines' own files, in all of which every name is `default`."""
    kubectl = str(builds.entry("kubernetes") / "kubectl")
    with vault_server.running() as vault, tempfile.TemporaryDirectory() as name:
        env = ENVIRONMENT | {"VAULT_ADDR": vault.url, "VAULT_TOKEN": vault.token}
        files = [Path(name, f"k8s-{number}.yaml") for number in range(count)]
        for number, file in enumerate(files):
            file.write_text(yaml.safe_dump(kubeconfig(file.stem, cluster="default")))
            add = script("update_kubeconfig", "--kubeconfig", file, "--inventory-name", file.stem)
            subprocess.run(
                [*add, "--address", f"10.1.0.{number + 2}"], env=env, capture_output=True, check=True
            )
        env["KUBECONFIG"] = ":".join(map(str, files))
        view = [kubectl, "config", "view", "--flatten"]
        merged = subprocess.run(view, env=env, capture_output=True, check=True).stdout
        ours, peer = (yaml.safe_load(text) for text in (vault.read()[0]["KUBECONFIG"], merged))
    left = [len({user["user"]["client-key-data"] for user in data["users"]}) for data in (ours, peer)]
    return (
        f"Of {count} machines' own files, where K3s calls everything `default`, `update_kubeconfig.py`\n"
        f"keeps {left[0]} clusters and `kubectl config view --flatten` {left[1]}."
    )
