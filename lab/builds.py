"""The Go programs of the lab, each built once.

A build goes into the cache (lab.cache_dir()) under a name with version and a hash of its sources. It is made
in a temporary folder that is then renamed; a lock makes a second checkout wait instead of building too.

What only some demos and tests need is not part of the setup: they call setup.on_demand with its name.
"""

import functools
import hashlib
import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from lab import ROOT, cache_dir
from lab.cache import made, patience, run

BUILD_DIR = ROOT / "lab" / "build"
HELM_PROVIDER = "3.1.2"  # the release of hashicorp/helm that lab/build/helm stands in for


class Build(NamedTuple):
    name: str
    module: str  # whose version names the entry
    packages: dict[str, str]  # program: Go package
    what: str
    usual: str
    on_demand: bool = False


BUILDS = (
    Build("provider", "github.com/bpg/terraform-provider-proxmox",
          {"terraform-provider-proxmox": "github.com/bpg/terraform-provider-proxmox"},
          "Terraform's Proxmox provider, since no registry is asked", "15 s, the first time 3 min"),
    Build("opentofu", "github.com/opentofu/opentofu", {"tofu": "github.com/opentofu/opentofu/cmd/tofu"},
          "OpenTofu, which does the work of Terraform", "30 s, the first time 5 min"),
    Build("actionlint", "github.com/rhysd/actionlint",
          {"actionlint": "github.com/rhysd/actionlint/cmd/actionlint"},
          "the linter of workflows", "5 s, the first time 20 s"),
    Build("kubernetes", "k8s.io/kubernetes",
          {name: f"k8s.io/kubernetes/cmd/{name}"
           for name in ("kube-apiserver", "kubectl", "kube-controller-manager", "kube-scheduler")},
          "the Kubernetes API server, controller manager and scheduler that run in the machines, and kubectl",
          "60 s, the first time 8 min"),
    Build("k3s", "k8s.io/client-go", {"k3s": "."},
          "the K3s stand-in, which joins the machines of a cluster", "10 s after kubernetes"),
    Build("vault", "github.com/hashicorp/vault", {"vault": "."},
          "HashiCorp Vault's core", "20 s, the first time 6 min"),
    Build("talosctl", "github.com/siderolabs/talos",
          {"talosctl": "github.com/siderolabs/talos/cmd/talosctl"},
          "Talos' command line", "15 s, the first time 4 min", on_demand=True),
    Build("talosnode", "github.com/siderolabs/talos/pkg/machinery", {"talosnode": "."},
          "what stands in for a machine with Talos", "10 s, the first time 3 min", on_demand=True),
    Build("helm", "helm.sh/helm/v3",
          {"helm": "helm.sh/helm/v3/cmd/helm", "terraform-provider-helm": "."},
          "helm, and what stands in for Terraform's helm provider", "20 s, the first time 3 min", on_demand=True),
)  # fmt: skip


def find(name: str) -> Build:
    return next(build for build in BUILDS if build.name == name)


def version(build: Build) -> str:
    text = (BUILD_DIR / build.name / "go.mod").read_text()
    found = re.search(rf"^\s*(?:require )?{re.escape(build.module)} v(\S+)", text, re.MULTILINE)
    return found[1]


@functools.cache
def entry(name: str) -> Path:
    """The folder in the cache that holds a built thing, whether it is there yet or not."""
    build = find(name)
    sources = sorted((BUILD_DIR / name).glob("*.go")) + sorted((BUILD_DIR / name).glob("go.*"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:8]
    return cache_dir() / f"{name}-{version(build)}-{digest}"


def build(item: Build) -> None:
    """Build one of the Go programs into the cache."""
    target = entry(item.name)
    if target.exists():
        return
    with made(target, item.what) as folder:
        if not folder:
            return
        env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
        flags = "-s -w"
        if item.name == "kubernetes":  # its own build script would set these
            for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
                flags += f" -X {package}.gitVersion=v{version(item)}"
        if item.name == "opentofu":  # the same
            flags += f" -X {item.module}/version.dev=no"
        with patience(f"building {item.name} {version(item)}: {item.what}", item.usual):
            for program, package in item.packages.items():
                run(
                    ["go", "build", "-trimpath", f"-ldflags={flags}", "-o", str(folder / program), package],
                    f"{item.name}-{program}", cwd=BUILD_DIR / item.name, env=env,
                )  # fmt: skip
        if item.name == "provider":
            _as_mirror(folder, "bpg/proxmox", version(item))
        if item.name == "helm":
            _as_mirror(folder, "hashicorp/helm", HELM_PROVIDER)


def _as_mirror(folder: Path, source: str, number: str) -> None:
    """Lay a provider out as Terraform expects it of a filesystem mirror; lab/terraform.py adds OpenTofu's."""
    arch = subprocess.run(["go", "env", "GOARCH"], capture_output=True, text=True, check=True).stdout.strip()
    program = f"terraform-provider-{source.partition('/')[2]}"
    place = folder / "registry.terraform.io" / source / number / f"linux_{arch}"
    place.mkdir(parents=True)
    (folder / program).rename(place / f"{program}_v{number}")
