#!/bin/sh
# Bring a template or a machine into a state, through Proxmox's API.
set -eu

usage() {
  cat <<'END'
Usage: manage-platform.sh -h NODE PLATFORM ACTION [-- OPTIONS of ansible-playbook]

  NODE       the Proxmox node
  PLATFORM   ACTION
  proxmox_template   build destroy verify list cleanup
  proxmox_vm         create verify start stop shutdown modify remove

Examples:
  manage-platform.sh -h node01 proxmox_template build -- -e proxmox_template_image=debian12
  manage-platform.sh -h node01 proxmox_vm create -- -e vm_template_distribution=debian12
  manage-platform.sh -h node01 proxmox_vm create -- -e vm_name=app -e vm_template_distribution=debian12 --check --diff

PROXMOX_VE_ENDPOINT and PROXMOX_VE_API_TOKEN come from the environment or .env. Exit status: that of ansible-playbook, or 2
for wrong usage.
END
}

wrong() {
  printf '%s\n\n' "$1" >&2
  usage >&2
  exit 2
}

here=$(dirname -- "$0")
[ "${1-}" != --help ] || { usage; exit 0; }
[ "${1-}" = -h ] || wrong "-h NODE is missing"
[ $# -ge 4 ] || wrong "NODE, PLATFORM and ACTION are needed"
node=$2 platform=$3 action=$4
shift 4
case $node in *[!A-Za-z0-9-]* | '' | -*) wrong "$node is not the name of a node" ;; esac
case $platform:$action in
  proxmox_template:build | proxmox_template:destroy | proxmox_template:verify | proxmox_template:list | \
    proxmox_template:cleanup) ;;
  proxmox_vm:create | proxmox_vm:verify | proxmox_vm:start | proxmox_vm:stop | proxmox_vm:shutdown | \
    proxmox_vm:modify | proxmox_vm:remove) ;;
  *) wrong "$platform has no action $action" ;;
esac
if [ $# -gt 0 ]; then
  [ "$1" = -- ] || wrong "options of ansible-playbook come after --"
  shift
fi
program=$here/../.venv/bin/ansible-playbook
[ -x "$program" ] || program=ansible-playbook
export ANSIBLE_CONFIG="${ANSIBLE_CONFIG:-$here/ansible.cfg}"
exec "$program" "$here/playbooks/platform.yml" \
  -e "platform_name=$platform" -e "platform_node=$node" -e "platform_state=$action" "$@"
