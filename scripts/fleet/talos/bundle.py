"""A cluster's secrets in Vault, at kv/cluster-bootstrap/<cluster>: made once, before any machine gets a configuration.

Fields: `secrets` (talosctl's bundle, YAML), `talosconfig` (the administrator's access to the machines),
`version_contract` (the minor version by whose rules the configurations are made, for the cluster's whole life) and
`kubernetes_version` (which Kubernetes the machines were last given).
"""

import base64
import datetime
import json
from typing import Any, NamedTuple

import yaml

from fleet.clusters import yaml_parse
from fleet.findings import Fault
from fleet.members.tokens import FOLDER
from fleet.talos.cluster import Cluster, Version, version
from fleet.talos.talosctl import Talosctl, Text
from fleet.vault.secret import Secret

RENEW = 90  # days before its end that a certificate of an administrator is made again; it is good for 365


class Bundle(NamedTuple):
    secrets: str
    talosconfig: str
    contract: str
    kubernetes: Version

    @property
    def kubernetes_authority(self) -> str:
        """Base64 of the certificate that signs those of the Kubernetes API."""
        return _data(self.secrets)["certs"]["k8s"]["crt"]


class Made(NamedTuple):
    bundle: Bundle
    changed: tuple[str, ...]  # the fields that were written, or would be


def secret(cluster: str, addr: str | None = None, token: str | None = None) -> Secret:
    return Secret(f"{FOLDER}/{cluster}", addr, token)


def read(stored: dict[str, Any], place: str) -> Bundle | None:
    """The bundle of the fields in Vault; None where there is none. Raises Fault for what is not one."""
    if not stored.get("secrets"):
        return None
    missing = [
        name for name in ("talosconfig", "version_contract", "kubernetes_version") if not stored.get(name)
    ]
    if missing or not all(isinstance(value, str) for value in stored.values()):
        message = f"{place} has secrets without {', '.join(missing) or 'text in each field'}"
        raise Fault(f"{message}; restore an earlier version with `vault kv rollback`")
    contract = stored["version_contract"]
    found = Bundle(
        stored["secrets"], stored["talosconfig"], contract, version(stored["kubernetes_version"], place)
    )
    try:
        base64.b64decode(found.kubernetes_authority, validate=True)
    except (KeyError, TypeError, ValueError):
        message = f"field secrets of {place} is not a bundle of `talosctl gen secrets`"
        raise Fault(f"{message}; restore an earlier version with `vault kv rollback`") from None
    return found


def ensure(cluster: Cluster, talosctl: Talosctl, store: Secret, known: bool, dry_run: bool = False) -> Made:
    """The cluster's secrets, made where Vault has none; of two that make them at once, both take the first's.

    The talosconfig is made again when a control plane came or went, or its certificate ends soon. `known`: Vault has
    the cluster's kubeconfig, so there were secrets before. Raises Fault.
    """
    stored = store.read()
    found = read(stored.data, store.place)
    if found is None:
        if known and not cluster.force_bootstrap:
            raise Fault(
                f"Vault has the kubeconfig of {cluster.name} but not its secrets, and with new ones its machines would"
                f" be strangers; restore {store.place}, or begin a new cluster with talos_force_bootstrap=true"
            )
        made = _make(cluster, talosctl)
        fields = stored.data | as_fields(made)
        if dry_run or store.write(fields, stored.version) is not None:
            return Made(made, ("secrets", "talosconfig"))
        found = read(store.read().data, store.place)
        if found is None:
            raise Fault(f"another writer of {store.place} was faster; run the playbook again", code=2)
    if _is_current(found.talosconfig, cluster, talosctl):
        return Made(found, ())
    renewed = found._replace(talosconfig=_talosconfig(cluster, talosctl, found.secrets))
    if not dry_run:
        store.change(lambda data: data | {"talosconfig": renewed.talosconfig})
    return Made(renewed, ("talosconfig",))


def as_fields(bundle: Bundle) -> dict[str, str]:
    return {
        "secrets": bundle.secrets,
        "talosconfig": bundle.talosconfig,
        "version_contract": bundle.contract,
        "kubernetes_version": str(bundle.kubernetes),
    }


def _make(cluster: Cluster, talosctl: Talosctl) -> Bundle:
    contract = f"v{cluster.version.major}.{cluster.version.minor}"
    secrets = talosctl.make("gen", "secrets", "--talos-version", contract, "--output-file", "-")
    return Bundle(secrets, _talosconfig(cluster, talosctl, secrets), contract, cluster.kubernetes)


def _talosconfig(cluster: Cluster, talosctl: Talosctl, secrets: str) -> str:
    """The access to the machines by their own addresses: the shared one moves, and is there only with etcd."""
    text = talosctl.make(
        "gen", "config", cluster.name, cluster.url, "--with-secrets", Text(secrets), "--output-types", "talosconfig",
        "--output", "-",
    )  # fmt: skip
    data = _data(text)
    data["contexts"][cluster.name]["endpoints"] = [node.address for node in cluster.control_planes]
    return yaml.safe_dump(data, sort_keys=False)


def _is_current(talosconfig: str, cluster: Cluster, talosctl: Talosctl) -> bool:
    said = json.loads(talosctl.make("config", "info", "--output", "json", "--talosconfig", Text(talosconfig)))
    ends = datetime.date.fromisoformat(said["certNotAfter"])
    left = ends - datetime.datetime.now(datetime.UTC).date()
    wanted = [node.address for node in cluster.control_planes]
    return said["endpoints"] == wanted and left.days > RENEW


def _data(text: str) -> dict[str, Any]:
    return yaml_parse.parse(text, "what talosctl made").data
