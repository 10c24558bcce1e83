#!/bin/sh
# Bring k8s.ini and new_hosts.txt up to date with Terraform's outputs; options as of the script below.
exec "${PYTHON:-python3}" "$(dirname "$0")/../scripts/update_inventory.py" "$@"
