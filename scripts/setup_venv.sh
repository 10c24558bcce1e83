#!/bin/sh
# Make .venv, the Python environment of the scripts. Usage: scripts/setup_venv.sh [EXTRA[,EXTRA] | none | --clean]
#
# Installs pyproject.toml's dependencies and the given extras (default: terraform,ansible; also release, dev), at the
# versions in constraints.txt (or in the file that CONSTRAINTS names). The environment lies in the cache and .venv is a
# link to it: another checkout, or the next job on the same runner, installs nothing. Its name is made from the
# interpreter's version, the requirements and the constraints, so neither PATH nor the checkout's place matters.
# A runner that brings its own environment names it in PROXMOX_GITOPS_VENV. In a workflow's job the environment
# comes first on PATH for the following steps. --clean removes from the cache every environment that the files of
# this checkout do not name. Exit 0, 1 when something is missing, or pip's status.
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
[ -z "${PROXMOX_GITOPS_VENV:-}" ] || [ "${1:-}" = --clean ] || use "$PROXMOX_GITOPS_VENV"
cache=${PROXMOX_GITOPS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/proxmox-gitops}
constraints=${CONSTRAINTS:-constraints.txt}
# Once .venv/bin is on PATH, python3 is the environment's own: the interpreter behind it is the same as before.
if ! python=$(python3 -c 'import sys, tomllib; print(sys._base_executable)' 2>/dev/null); then
    echo "venv: Python 3.11 or newer is needed; python3 is $(python3 -V 2>/dev/null || echo missing)" >&2
    exit 1
fi
files() {
    "$python" -VV
    sed -n '/^requires-python/,/^\[tool/p' pyproject.toml
    cat "$constraints"
}
prefix=$cache/venv-$(files | sha256sum | cut -c1-12)
mkdir -p "$cache"
exec 9>"$cache/venv.lock"
flock -n 9 || { echo "venv: another checkout is installing; waiting for it" >&2; flock 9; }

if [ "${1:-}" = --clean ]; then
    for venv in "$cache"/venv-*/; do
        case ${venv%/} in "$prefix" | "$prefix"-* | "$cache/venv-*") continue ;; esac
        echo "removing ${venv%/}"
        rm -rf "${venv%/}"
    done
    exit 0
fi

wanted=${1:-terraform,ansible}
[ "$wanted" != none ] || wanted=''
extras=$(echo "$wanted" | tr , '\n' | sort -u | paste -sd- -)
venv=$prefix${extras:+-${extras#-}}
# `complete` alone is not enough: the interpreter that the environment was made with may be gone.
if [ ! -e "$venv/complete" ] || ! "$venv/bin/python" -c '' 2>/dev/null; then
    echo "venv: installing Python packages at the versions in $constraints (once, 1 to 3 minutes)" >&2
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
    "$venv/bin/python" - "$wanted" >"$venv/requirements.txt" <<'PY'
import sys
import tomllib

project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extras = [extra for extra in sys.argv[1].split(",") if extra]
print(*project["dependencies"], *(line for e in extras for line in project["optional-dependencies"][e]), sep="\n")
PY
    "$venv/bin/python" -m pip install -q --disable-pip-version-check -c "$constraints" -r "$venv/requirements.txt"
    touch "$venv/complete"
fi
use "$venv"
