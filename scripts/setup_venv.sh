#!/bin/sh
# Make .venv, the Python environment of the scripts. Usage: scripts/setup_venv.sh [EXTRA[,EXTRA]]   (dev, release)
#
# The environment stands in the cache, under the hash of what decides it, and .venv points there: a second
# checkout, or the next job of the same runner, installs nothing. A runner that brings an environment of its own
# names it in PROXMOX_GITOPS_VENV. In a workflow's job the environment comes first on PATH for the steps after it.
# Prints what it waits for. Exit 0, 1 when something is missing, or pip's status.
set -eu
cd "$(dirname "$0")/.."
use() {
    if [ -e .venv ] && [ ! -L .venv ]; then
        echo "venv: .venv is a directory that this script did not make; move it away" >&2
        exit 1
    fi
    ln -sfn "$1" .venv
    [ -z "${GITHUB_PATH:-}" ] || echo "$1/bin" >>"$GITHUB_PATH"
    exit 0
}
[ -z "${PROXMOX_GITOPS_VENV:-}" ] || use "$PROXMOX_GITOPS_VENV"
extras=${1:-}
cache=${PROXMOX_GITOPS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/proxmox-gitops}
if ! python3 -c 'import tomllib' 2>/dev/null; then
    echo "venv: Python 3.11 or newer is needed; python3 is $(python3 -V 2>/dev/null || echo not there)" >&2
    exit 1
fi
python=$(command -v python3)
key=$({ "$python" -VV; echo "$python $extras"; sed -n '/^requires-python/,/^\[tool/p' pyproject.toml; } | sha256sum | cut -c1-16)
venv=$cache/venv-$key
mkdir -p "$cache"

exec 9>"$cache/venv.lock"
flock -n 9 || { echo "venv: another checkout is installing; waiting for it" >&2; flock 9; }
if [ ! -e "$venv/complete" ]; then
    echo "venv: installing the Python packages of pyproject.toml (once, 1 to 3 minutes)" >&2
    rm -rf "$venv"
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        echo "venv: Debian's python3-venv is missing; installing it" >&2
        sudo=''
        [ "$(id -u)" -eq 0 ] || sudo='sudo -n'
        { $sudo apt-get update -qq && $sudo apt-get install -qq -y python3-venv; } >&2 || {
            echo "venv: that needs root; run once: sudo apt-get install python3-venv" >&2
            exit 1
        }
    fi
    "$python" -m venv "$venv"
    # Only the requirements: the scripts themselves run from the checkout.
    "$venv/bin/python" - "$extras" >"$venv/requirements.txt" <<'PY'
import sys
import tomllib

project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extras = ["runner", *(extra for extra in sys.argv[1].split(",") if extra)]
print(*project["dependencies"], *(line for e in extras for line in project["optional-dependencies"][e]), sep="\n")
PY
    "$venv/bin/python" -m pip install -q --disable-pip-version-check -r "$venv/requirements.txt"
    touch "$venv/complete"
fi
use "$venv"
