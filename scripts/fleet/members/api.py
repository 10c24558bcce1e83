"""Kubernetes' API of one cluster, as its administrator, at one of its control planes."""

import contextlib
from collections.abc import Iterator
from typing import Any

from fleet.findings import Fault, printable
from fleet.members import ask
from fleet.members.access import Access

TIMEOUT = (5, 30)  # seconds to connect, and for an answer


class Api:
    """Calls of the package kubernetes, by the names that its methods have. Every method raises Fault."""

    def __init__(self, address: str, entry: Access):
        import urllib3
        from kubernetes import client

        host = f"[{address}]" if ":" in address else address
        made = client.ApiClient(client.Configuration(host=f"https://{host}:{ask.PORT}"))
        # Its own pool would read the key from a file, and take the environment's proxy.
        made.rest_client.pool_manager = urllib3.PoolManager(ssl_context=entry.administrator, retries=2)
        self.address, self._core = address, client.CoreV1Api(made)

    def ask(self, call: str, *values: Any, **more: Any) -> Any:
        with self._asking(call):
            return getattr(self._core, call)(*values, **more, _request_timeout=TIMEOUT)

    def get(self, kind: str, name: str, *namespace: str) -> Any | None:
        """An object, or None where there is none of this name."""
        return self._unless_gone(f"read_namespaced_{kind}" if namespace else f"read_{kind}", name, *namespace)

    def delete(self, kind: str, name: str, *namespace: str) -> bool:
        """Delete an object; False where there is none of this name."""
        call = f"delete_namespaced_{kind}" if namespace else f"delete_{kind}"
        return self._unless_gone(call, name, *namespace) is not None

    def evict(self, pod: Any, eviction: Any) -> str:
        """Ask for a pod's eviction; why it may not go now, "" where it goes or is gone."""
        from kubernetes.client.exceptions import ApiException

        try:
            with self._asking("create_namespaced_pod_eviction", raised=(404, 409, 429)):
                self._core.create_namespaced_pod_eviction(
                    pod.name, pod.namespace, eviction, _request_timeout=TIMEOUT
                )
        except ApiException as error:
            return _words(error) if error.status == 429 else ""  # 409: it is another pod by now
        return ""

    def _unless_gone(self, call: str, *values: str) -> Any | None:
        from kubernetes.client.exceptions import ApiException

        try:
            with self._asking(call, raised=(404,)):
                return getattr(self._core, call)(*values, _request_timeout=TIMEOUT)
        except ApiException:
            return None

    @contextlib.contextmanager
    def _asking(self, call: str, raised: tuple[int, ...] = ()) -> Iterator[None]:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            yield
        except ApiException as error:
            if error.status in raised:
                raise
            raise Fault(
                f"the API at {self.address} refuses {call} ({error.status}): {_words(error)}"
            ) from None
        except (HTTPError, OSError, ValueError) as error:
            said = printable(str(error))[:200]
            raise Fault(f"the API at {self.address} does not answer {call}: {said}", code=2) from None


def _words(error: Any) -> str:
    """What Kubernetes says of a refusal, on one line."""
    import json

    with contextlib.suppress(ValueError, TypeError, AttributeError):
        body = json.loads(error.body)
        causes = (body.get("details") or {}).get("causes") or []
        return printable("; ".join([body["message"], *(one["message"] for one in causes)]))[:300]
    return printable(str(error.reason))[:300]
