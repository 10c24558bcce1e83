#!/bin/sh
# Write exact versions for all of pyproject.toml's requirements to constraints.txt. Usage: scripts/lock.sh [newest|oldest]
#
# newest (the default): the newest versions that the ranges allow; `make lock` and Renovate do this. oldest: the oldest
# ones, which the scheduled workflow `versions` tries. The result holds no addresses, and no hashes.
set -eu
cd "$(dirname "$0")/.."
case ${1:-newest} in
newest) set -- ;;
oldest) set -- --resolution=lowest-direct ;;
*) sed -n 2p "$0" >&2 && exit 2 ;;
esac
# --upgrade: without preference for the versions that are there. Renovate runs the command in the file's header again,
# and refuses options that it does not know; uv writes no addresses unless it is asked to.
uv pip compile --quiet --upgrade --universal --all-extras --python-version=3.11 "$@" \
    --output-file=constraints.txt pyproject.toml >/dev/null
