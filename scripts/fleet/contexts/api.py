"""Kubernetes' API of one cluster, asked with the credentials of a kubeconfig."""

import contextlib
import datetime
import json
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

from fleet.clusters import current
from fleet.contexts.connection import connection
from fleet.findings import Fault, printable

PAGE = 50  # secrets in one answer; one of helm's has up to 1 MiB
MOST = 128 << 20  # bytes of one answer
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
AGAIN = (
    "run the playbook of its machine again, which stores good ones, or store them with update_kubeconfig.py"
)


class Metadata(NamedTuple):
    name: str
    namespace: str
    labels: dict[str, str]
    creation_timestamp: datetime.datetime


class Secret(NamedTuple):
    """A secret, by the names that the package kubernetes has for its parts."""

    metadata: Metadata
    type: str
    data: dict[str, str]  # in base64


class Cluster:
    """The cluster of a kubeconfig that `single` made. Every method raises Fault, 2 where the API does not answer."""

    def __init__(self, kubeconfig: dict[str, Any]):
        self.context = printable(kubeconfig["current-context"])
        self._server, self._pool, self._headers = connection(kubeconfig)
        self._place = f"the API of {self.context} at {printable(self._server)}"

    def ready(self) -> None:
        """Return when the API says that it is ready."""
        self._ask("whether it is ready", "/readyz")

    def uid(self) -> str:
        """The identity of the cluster: that of its namespace kube-system, which is made once and never again."""
        with self._understanding():
            return current.checked(
                self._read("for namespace kube-system", "/api/v1/namespaces/kube-system")["metadata"]["uid"]
            )

    def may(self, verb: str, resource: str, group: str = "", namespace: str | None = None) -> bool:
        """Whether the credentials allow it, in all namespaces unless one is given."""
        asked = {"verb": verb, "resource": resource, "group": group, "namespace": namespace or ""}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        }
        with self._understanding():
            return self._read("what its credentials may do", REVIEWS, review)["status"]["allowed"] is True

    def secrets(self, label_selector: str) -> list[Secret]:
        """The secrets with these labels in all namespaces, as they were at one moment."""
        found, more = [], ""
        while True:
            query = urlencode({"labelSelector": label_selector, "limit": PAGE, "continue": more})
            with self._understanding():
                answer = self._read("for secrets", f"/api/v1/secrets?{query}")
                found += [_secret(item) for item in answer["items"]]
                more = answer["metadata"].get("continue")
            if not more:
                return found

    def _read(self, what: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return json.loads(self._ask(what, path, body))

    def _ask(self, what: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        from urllib3.exceptions import HTTPError, SSLError

        headers = self._headers | {"Content-Type": "application/json", "Accept": "application/json"}
        method, sent = ("POST", json.dumps(body)) if body else ("GET", None)
        try:
            answer = self._pool.request(
                method, self._server + path, body=sent, headers=headers, preload_content=False
            )
            data = answer.read(MOST)
            if answer.read(1):
                answer.close()
                raise Fault(f"{self._place} does not end its answer {what}", code=2)
            answer.release_conn()
        except (HTTPError, OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            said = printable(" ".join(str(reason).split()))[:200]
            if isinstance(reason, SSLError) and "certificate" in said.lower():
                raise Fault(
                    f"what answers at {printable(self._server)} is not the cluster of context {self.context}: its"
                    f" certificate is not one of the CA in Vault ({said}); if the cluster was made again, {AGAIN}"
                ) from None
            raise Fault(
                f"{self._place} does not answer {what}: {said}; check that its machines run and can be reached",
                code=2,
            ) from None
        if answer.status == 401:
            raise Fault(
                f"{self._place} refuses the credentials in Vault (401): they ended, or are those of another cluster;"
                f" {AGAIN}"
            )
        if answer.status == 403:
            raise Fault(f"{self._place} refuses to be asked {what} (403): {_words(answer, data)}")
        if answer.status not in (200, 201):
            raise Fault(
                f"{self._place} does not answer {what} ({answer.status}): {_words(answer, data)}", code=2
            )
        return data

    @contextlib.contextmanager
    def _understanding(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, LookupError, TypeError, AttributeError):
            raise Fault(f"{self._place} does not answer as an API of Kubernetes would", code=2) from None


def _secret(item: dict[str, Any]) -> Secret:
    about = item["metadata"]
    created = datetime.datetime.fromisoformat(about["creationTimestamp"])
    metadata = Metadata(about["name"], about["namespace"], about.get("labels") or {}, created)
    return Secret(metadata, item.get("type") or "", item.get("data") or {})


def _words(answer: Any, data: bytes) -> str:
    """What Kubernetes says of a refusal, on one line."""
    text = data[:4096].decode(errors="replace")
    with contextlib.suppress(ValueError, TypeError, LookupError):
        text = str(json.loads(text)["message"])
    if failed := [line for line in text.splitlines() if line.startswith("[-]")]:
        text = ", ".join(failed)  # the checks of /readyz that are not good
    if 300 <= answer.status < 400:
        text = f"a redirect to {answer.headers.get('Location')}, which is not followed"
    return printable(" ".join(text.split()))[:300]
