"""The lab's Vault: initialised once, unsealed after each start, with a KV engine and one narrow token.

Its keys are in LAB_DIR/secrets: vault_unseal_key, vault_root_token (for tests), vault_token (what CI gets).
"""

import http.client
import json
import shutil
import urllib.error
import urllib.request

from lab import VAULT_URL, LabError, credentials, lab_dir, network, secret

MOUNT = "kv"
PATH = "cluster-secret-store/secrets/KUBECONFIG"
POLICY = """
path "kv/data/cluster-secret-store/secrets/KUBECONFIG" { capabilities = ["create", "read", "update"] }
path "kv/data/cluster-bootstrap/*" { capabilities = ["create", "read", "update"] }
path "kv/data/playbooks/*" { capabilities = ["read"] }
path "sys/auth/clusters/+" {
  capabilities = ["create", "read", "update", "delete", "sudo"]
  allowed_parameters = { "type" = ["jwt"], "description" = ["proxmox-gitops*"] }
}
path "auth/clusters/+/config" {
  capabilities = ["create", "read", "update"]
  allowed_parameters = { "jwt_validation_pubkeys" = [], "jwt_supported_algs" = [], "bound_issuer" = [] }
}
path "auth/clusters/+/role/external-secrets" {
  capabilities = ["create", "read", "update"]
  allowed_parameters = {
    "role_type" = ["jwt"], "bound_audiences" = [], "bound_subject" = [], "user_claim" = ["sub"],
    "token_policies" = ["workloads"], "token_no_default_policy" = [true], "token_ttl" = [], "token_max_ttl" = []
  }
}
path "sys/policies/acl/workloads" { capabilities = ["read"] }
"""
WORKLOADS = """
path "kv/data/cluster-secret-store/secrets/*" { capabilities = ["read"] }
path "kv/metadata/cluster-secret-store/secrets/*" { capabilities = ["read", "list"] }
path "kv/data/cluster-secret-store/secrets/KUBECONFIG" { capabilities = ["deny"] }
path "kv/metadata/cluster-secret-store/secrets/KUBECONFIG" { capabilities = ["deny"] }
path "kv/data/cluster-bootstrap/*" { capabilities = ["deny"] }
path "kv/data/playbooks/*" { capabilities = ["deny"] }
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
"""
_PERIOD = "768h"  # a token not renewed for so long ends; each start of the lab renews it


def argv() -> list[str]:
    from lab import builds

    address = VAULT_URL.removeprefix("http://")
    return [str(builds.entry("vault") / "vault"), "-listen", address, "-storage", str(lab_dir() / "vault")]


def prepare() -> None:
    (lab_dir() / "vault").mkdir(mode=0o700, parents=True, exist_ok=True)


def request(method: str, path: str, body: dict | None = None, token: str | None = None) -> dict:
    """One call of the API as the root token, from inside the lab's network; LabError on any refusal."""
    headers = {"X-Vault-Token": secret("vault_root_token") if token is None else token}
    data = json.dumps(body).encode() if body is not None else None
    asked = urllib.request.Request(f"{VAULT_URL}/v1/{path}", data, headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with network.inside(), opener.open(asked, timeout=30) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode(errors="replace").strip()
        raise LabError(f"Vault: {method} {path}: {error.code} {text}") from None
    except (OSError, http.client.HTTPException) as error:
        raise LabError(f"Vault does not answer: {error}") from None


def ready() -> bool:
    """Whether Vault answers, sealed or not."""
    try:
        return "sealed" in request("GET", "sys/seal-status", token="")
    except LabError:
        return False


def sealed() -> bool:
    return request("GET", "sys/seal-status", token="")["sealed"]


def seal() -> None:
    request("PUT", "sys/seal")


def unseal() -> None:
    request("PUT", "sys/unseal", {"key": secret("vault_unseal_key")}, token="")


def provision() -> None:
    """Initialise, unseal and configure Vault until CI can use it."""
    if not request("GET", "sys/init", token="")["initialized"]:
        keys = request("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1}, token="")
        credentials.write("vault_unseal_key", keys["keys_base64"][0] + "\n")
        credentials.write("vault_root_token", keys["root_token"] + "\n")
    elif not secret("vault_unseal_key") or not secret("vault_root_token"):
        raise LabError("Vault's keys are lost; `python -m lab down`, remove .lab/vault, and start again")
    if sealed():
        unseal()
    if f"{MOUNT}/" not in request("GET", "sys/mounts")["data"]:
        request("POST", f"sys/mounts/{MOUNT}", {"type": "kv", "options": {"version": "2"}})
    request("PUT", "sys/policies/acl/ci", {"policy": POLICY})
    request("PUT", "sys/policies/acl/workloads", {"policy": WORKLOADS})
    try:
        request("POST", "auth/token/renew-self", {}, token=secret("vault_token") or "none")
    except LabError:
        asked = {"policies": ["ci"], "period": _PERIOD, "no_parent": True, "display_name": "ci"}
        credentials.write(
            "vault_token", request("POST", "auth/token/create", asked)["auth"]["client_token"] + "\n"
        )


def forget() -> None:
    """Remove all that Vault keeps; it must be stopped."""
    shutil.rmtree(lab_dir() / "vault", ignore_errors=True)
    for name in ("vault_unseal_key", "vault_root_token", "vault_token"):
        (lab_dir() / "secrets" / name).unlink(missing_ok=True)
