"""Files that come onto a storage: a node's own download by wget, and what was uploaded."""

import hashlib
import os
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from lab import lab_dir
from lab.proxmox import contents, faults, volumes
from lab.proxmox.errors import ApiError

DECOMPRESSORS = {
    "gz": ("zcat",), "lzo": ("lzop", "-d", "-c"), "zst": ("zstd", "-q", "-d", "-c"), "bz2": ("bzcat", "-q"),
}  # fmt: skip

PERCENT = re.compile(r" (\d+)%")


def download(
    node: str, volid: str, url: str, verify: bool, compression: str, algorithm: str, checksum: str
) -> None:
    """Fetch a file to its volume: under a temporary name until it is known to be the right one."""
    target, kind = volumes.path(node, volid), volumes.content(volid)
    if compression and kind != "iso":
        raise ApiError(f"decompression not supported for {kind}")
    print(f"downloading {url} to {target}", flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        return _compare(target, algorithm, checksum)
    fetched, unpacked = (
        Path(f"{target}{volumes.DOWNLOADING}{part}.{os.getpid()}") for part in ("dwnl", "dcom")
    )
    try:
        if faults.storage_full(volumes.storage_of(volid)):
            fetched.symlink_to("/dev/full")
        _wget(fetched, url, verify, faults.fills_up_at(volumes.storage_of(volid)))
        _verify(fetched, algorithm, checksum)
        if compression:
            print(f"decompressing {fetched} to {unpacked}", flush=True)
            with unpacked.open("wb") as output:
                subprocess.run([*DECOMPRESSORS[compression], fetched], stdout=output, check=True)
            unpacked.replace(fetched)
        try:
            contents.check(fetched, kind, target.name)
        except ApiError as error:
            raise ApiError(f"failed to verify file: {error.message}") from None
        fetched.rename(target)
    finally:
        fetched.unlink(missing_ok=True)
        unpacked.unlink(missing_ok=True)
    print(f"download of '{url}' to '{target}' finished", flush=True)


def _sum(file: Path, algorithm: str) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def _compare(existing: Path, algorithm: str, checksum: str) -> None:
    """A file that is there is never overwritten, whatever is in it."""
    if not algorithm:
        raise ApiError(f"refusing to override existing file '{existing}'")
    print("calculating checksum of existing file...", end="", flush=True)
    found = _sum(existing, algorithm)
    if found != checksum.lower():
        print(flush=True)
        raise ApiError(f"checksum mismatch: got '{found}' != expect '{checksum}', aborting")
    print("OK, got correct file already, no need to download", flush=True)


def _verify(file: Path, algorithm: str, checksum: str) -> None:
    if not algorithm:
        return
    print("calculating checksum...", end="", flush=True)
    found = _sum(file, algorithm)
    if found != checksum.lower():
        print(flush=True)
        raise ApiError(f"checksum mismatch: got '{found}' != expect '{checksum}'")
    print("OK, checksum verified", flush=True)


def _wget(file: Path, url: str, verify: bool, full_at: float | None) -> None:
    """Fetch with wget, whose lines go to the log as PVE::Cmd hands them on.

    That is one line late and without empty ones; the last line of a failed command is the error.
    """
    argv = ["wget", "--progress=dot:giga", "-O", str(file), url]
    argv += [] if verify else ["--no-check-certificate"]
    if urlsplit(url).scheme == "https":  # a real node has it among the system's
        argv += [f"--ca-certificate={lab_dir() / 'tls/bundle.pem'}"]
    env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    with subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as wget:
        try:
            held = ""
            for line in wget.stderr:
                if held:
                    print(held, flush=True)
                held = line.rstrip("\n")
                if full_at is not None and (percent := PERCENT.search(held)) and int(percent[1]) >= full_at:
                    raise ApiError(f"download failed: Cannot write to '{file}' (No space left on device).")
        except ApiError:
            wget.terminate()
            raise
    if wget.returncode:
        raise ApiError(f"download failed: {held or f'exit code {wget.returncode}'}")
    if held:
        print(held, flush=True)


def upload(node: str, volid: str, sent: str, algorithm: str, checksum: str) -> None:
    """Put an uploaded file onto its storage; what is there under that name is overwritten."""
    file, target = Path(sent), volumes.path(node, volid)
    print(f"starting file import from: {file}", flush=True)
    try:
        _verify(file, algorithm, checksum)
        contents.check(file, volumes.content(volid), target.name)
        print(f"target node: {node}\ntarget file: {target}\nfile size is: {file.stat().st_size}", flush=True)
        print(f"command: cp -- {file} {target}", flush=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        full = faults.storage_full(volumes.storage_of(volid))
        copied = subprocess.run(
            ["cp", "--", file, "/dev/full" if full else target], capture_output=True, text=True
        )
        if copied.returncode:
            target.unlink(missing_ok=True)
            raise ApiError(f"import failed: {copied.stderr.strip()}")
    finally:
        file.unlink(missing_ok=True)
    print("finished file import successfully", flush=True)
