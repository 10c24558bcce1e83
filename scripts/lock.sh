#!/bin/sh
# Write exact versions for all of pyproject.toml's requirements to constraints.txt. Usage: scripts/lock.sh [newest|oldest]
#
# newest (the default): the newest versions that the ranges allow; `make lock` and Renovate do this. oldest: the oldest
# ones, which the scheduled workflow `versions` tries. The result holds no addresses, and no hashes.
set -eu
cd "$(dirname "$0")/.."
case ${1:-newest} in
newest) resolution=highest ;;
oldest) resolution=lowest-direct ;;
*) sed -n 2p "$0" >&2 && exit 2 ;;
esac
# Without preferences from the file that is there, and under the name that the header shall show.
rm -f constraints.txt
uv pip compile --quiet --universal --all-extras --python-version=3.11 --resolution="$resolution" \
    --no-emit-index-url --output-file=constraints.txt pyproject.toml
