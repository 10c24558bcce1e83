"""Kubernetes' API of one cluster, asked with the credentials of a kubeconfig, as helm would ask it."""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleet.clusters import contents, identity
from fleet.findings import Fault, cut, printable

if TYPE_CHECKING:
    from kubernetes.client import V1Secret

TIMEOUT = (5, 20)  # seconds to connect, and between two parts of an answer
DATA = {"cluster": ("certificate-authority",), "user": ("client-certificate", "client-key")}
AGAIN = (
    "run the playbook of its machine again, which stores good ones, or store them with update_kubeconfig.py"
)


class Cluster:
    """The cluster of a kubeconfig that `single` made. Every method raises Fault, 2 where the API does not answer."""

    def __init__(self, kubeconfig: dict[str, Any]):
        import urllib3
        from kubernetes import client, config

        self.context = printable(kubeconfig["current-context"])
        self._held = contextlib.ExitStack()  # what the connections read their keys from
        settings = client.Configuration()
        settings.proxy = None  # of the environment: see handover
        # A redirect could lead the question, with its credentials, to another host.
        settings.retries = urllib3.Retry(
            connect=2, read=0, redirect=0, other=0, backoff_factor=0.2, raise_on_redirect=False
        )
        try:
            config.load_kube_config_from_dict(
                self._without_files(kubeconfig), client_configuration=settings, persist_config=False
            )
            self._client = client.ApiClient(settings)
        except (config.ConfigException, OSError, ValueError, TypeError, LookupError) as error:
            raise Fault(f"context {self.context} cannot be used: {_line(error)}") from None
        self._core, self._reviews = client.CoreV1Api(self._client), client.AuthorizationV1Api(self._client)
        self.address = printable(str(settings.host))

    def ready(self) -> None:
        """Return when the API says that it is ready."""
        from urllib3.util import Timeout

        settings = self._client.configuration
        headers = {one["key"]: one["value"] for one in settings.auth_settings().values()}
        timeout = Timeout(*TIMEOUT)
        with self._asking("whether it is ready"):
            pool = self._client.rest_client.pool_manager
            answer = pool.request("GET", f"{settings.host}/readyz", headers=headers, timeout=timeout)
        if answer.status == 401:
            raise self._refused()
        if answer.status != 200:
            said = cut(printable(answer.data[:300].decode(errors="replace")))
            raise Fault(
                f"the API of {self.context} at {self.address} is not ready ({answer.status}): {said}", code=2
            )

    def uid(self) -> str:
        """The identity of the cluster: that of its namespace kube-system, which is made once and never again."""
        with self._asking("for namespace kube-system"):
            found = self._core.read_namespace("kube-system", _request_timeout=TIMEOUT)
        try:
            return identity.checked(found.metadata.uid)
        except ValueError:
            raise Fault(f"the API of {self.context} at {self.address} tells no identity", code=2) from None

    def may(self, verb: str, resource: str, group: str = "", namespace: str | None = None) -> bool:
        """Whether the credentials allow it, in all namespaces unless one is given."""
        asked = {"verb": verb, "resource": resource, "group": group, "namespace": namespace or ""}
        review = {"spec": {"resourceAttributes": asked}}
        with self._asking("what its credentials may do"):
            answer = self._reviews.create_self_subject_access_review(review, _request_timeout=TIMEOUT)
        return bool(answer.status and answer.status.allowed)

    def secrets(self, label_selector: str) -> "list[V1Secret]":
        """The secrets with these labels in all namespaces."""
        with self._asking("for secrets"):
            found = self._core.list_secret_for_all_namespaces(
                label_selector=label_selector, _request_timeout=TIMEOUT
            )
        return found.items

    def _without_files(self, kubeconfig: dict[str, Any]) -> dict[str, Any]:
        """The kubeconfig with its certificates and keys in memory: the client would write each to a file."""
        made = dict(kubeconfig)
        for part, inner in (("clusters", "cluster"), ("users", "user")):
            body = dict(kubeconfig[part][0][inner])
            for field in DATA[inner]:
                if body.get(f"{field}-data") and hasattr(os, "memfd_create"):
                    number = os.memfd_create(field)
                    self._held.callback(os.close, number)
                    os.write(number, contents.decode(body.pop(f"{field}-data")))
                    body[field] = f"/proc/self/fd/{number}"
            made[part] = [{"name": kubeconfig[part][0]["name"], inner: body}]
        return made

    @contextlib.contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError, SSLError

        try:
            yield
        except ApiException as error:
            if error.status == 401:
                raise self._refused() from None
            said, place = _words(error), f"the API of {self.context} at {self.address}"
            if error.status == 403:
                raise Fault(f"{place} refuses to be asked {what} (403): {said}") from None
            raise Fault(f"{place} does not answer {what} ({error.status}): {said}", code=2) from None
        except (HTTPError, OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, SSLError) and "certificate" in str(reason).lower():
                raise Fault(
                    f"what answers at {self.address} is not the cluster of context {self.context}: its certificate is"
                    f" not one of the CA in Vault ({_line(reason)}); if the cluster was made again, {AGAIN}"
                ) from None
            raise Fault(
                f"the API of {self.context} at {self.address} does not answer {what}: {_line(reason)}; check that its"
                " machines run and can be reached from here",
                code=2,
            ) from None

    def _refused(self) -> Fault:
        return Fault(
            f"the API at {self.address} refuses the credentials of context {self.context} (401): they ended, or are"
            f" those of another cluster; {AGAIN}"
        )


def _line(error: object) -> str:
    return printable(" ".join(str(error).split()))[:200]


def _words(error: Any) -> str:
    """What Kubernetes says of a refusal, on one line."""
    with contextlib.suppress(ValueError, TypeError, LookupError):
        return printable(str(json.loads(error.body)["message"]))[:300]
    return printable(str(error.reason))[:300]
