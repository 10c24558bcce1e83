"""Images, ISO files and container templates that are brought onto a storage: by the node itself, or sent to it."""

import re
from pathlib import Path

import requests

from lab import lab_dir
from lab.proxmox import contents, formats, storages, tasks
from lab.proxmox.errors import ApiError
from lab.proxmox.routes import Request, route
from lab.proxmox.schema import Format, Prop

ADDRESS: Format = {"url": Prop(pattern="https?://.*", required=True), "verify-certificates": formats.FLAG}
COMPRESSION = ("gz", "lzo", "zst", "bz2")


def _check_network(request: Request) -> None:
    """Whoever makes a node ask an address can look around in its network."""
    everywhere = request.may("/", "Sys.Audit") and request.may("/", "Sys.Modify")
    if not everywhere and not request.may(f"/nodes/{request.node}", "Sys.AccessNetwork"):
        raise ApiError("Permission check failed", 403)


def _check_files(storage: str, words: str = "") -> None:
    if not storages.kind(storage).files:
        raise ApiError(f"can't upload to storage type '{storages.check(storage)['type']}'{words}")


def _sums(request: Request) -> dict[str, str]:
    return {
        "algorithm": request.params.get("checksum-algorithm", ""),
        "checksum": request.params.get("checksum", ""),
    }


@route("POST", "/nodes/{node}/storage/{storage}/download-url")
def download_url(request: Request):
    storage = request.names["storage"]
    request.check(f"/storage/{storage}", "Datastore.AllocateTemplate")
    _check_network(request)
    request.fits(ADDRESS | contents.PARAMETERS | {"compression": Prop(enum=COMPRESSION)})
    kind = request.params["content"]
    _check_files(storage, ", not a file based storage!")
    if not storages.holds(storage, kind):
        raise ApiError(f"storage '{storage}' is not configured for content-type '{kind}'")
    name = contents.file_name(kind, request.params["filename"])
    return tasks.start(
        request.node, "download", name, request.caller.name, "download",
        node=request.node, volid=f"{storage}:{kind}/{name}", url=request.params["url"], **_sums(request),
        verify=request.flag("verify-certificates", True), compression=request.params.get("compression", ""),
    )  # fmt: skip


@route("POST", "/nodes/{node}/storage/{storage}/upload")
def upload(request: Request):
    sent = Path(request.params.pop("tmpfilename", ""))
    try:
        storage = request.names["storage"]
        request.check(f"/storage/{storage}", "Datastore.AllocateTemplate")
        request.fits(contents.PARAMETERS)
        kind = request.params["content"]
        _check_files(storage)
        if not sent.name:
            raise ApiError("missing temporary file name")
        name = contents.file_name(kind, request.params["filename"])
        if not storages.holds(storage, kind):
            raise ApiError(f"storage '{storage}' does not support '{kind}' content")
        return tasks.start(
            request.node, "imgcopy", "", request.caller.name, "upload",
            node=request.node, volid=f"{storage}:{kind}/{name}", sent=str(sent), **_sums(request),
        )  # fmt: skip
    except ApiError:
        if sent.name:
            sent.unlink(missing_ok=True)
        raise


@route("GET", "/nodes/{node}/query-url-metadata")
def url_metadata(request: Request):
    """What a HEAD request tells about a file on the web."""
    _check_network(request)
    request.fits(ADDRESS)
    url, verify = request.params["url"], request.flag("verify-certificates", True)
    try:
        found = requests.head(
            url, allow_redirects=True, timeout=180, headers={"User-Agent": "Proxmox VE"},
            verify=str(lab_dir() / "tls/bundle.pem") if verify else False,
        )  # fmt: skip
    except requests.RequestException as error:
        raise ApiError(
            f"invalid server response: '500 Can't connect to {url.split('/')[2]} ({error})'"
        ) from None
    if found.status_code != 200:
        raise ApiError(f"invalid server response: '{found.status_code} {found.reason}'")
    disposition = re.search(
        r'filename="([^"]*)"|filename=([^;]*)', found.headers.get("Content-Disposition", "")
    )
    from_url = re.fullmatch(r"[^?]+/([^?/]*)(?:\?.*)?", url)
    name = (disposition[1] or disposition[2]) if disposition else from_url[1] if from_url else ""
    size, mime = (
        int(found.headers.get("Content-Length", 0)),
        found.headers.get("Content-Type", "").split(";")[0],
    )
    return {key: value for key, value in (("filename", name), ("size", size), ("mimetype", mime)) if value}
