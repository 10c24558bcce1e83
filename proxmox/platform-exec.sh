#!/bin/sh
# Run one task file of a platform's role; without a task, list them.
set -eu

usage() {
  cat <<'END'
Usage: platform-exec.sh -h NODE PLATFORM [TASK] [-- OPTIONS of ansible-playbook]

  NODE       the Proxmox node
  PLATFORM   proxmox_template or proxmox_vm
  TASK       a task file of the role, without .yml, that can run by itself; without it they are listed. A stage of a
             build is run by its tag: manage-platform.sh -h NODE proxmox_template build -- --tags image

Examples:
  platform-exec.sh -h node01 proxmox_template verify -- -e proxmox_template_image=debian12
  platform-exec.sh -h node01 proxmox_vm lookup_template -- -e vm_template_distribution=debian12

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
[ $# -ge 3 ] || wrong "NODE and PLATFORM are needed"
node=$2 platform=$3 task=
shift 3
case $node in *[!A-Za-z0-9-]* | '' | -*) wrong "$node is not the name of a node" ;; esac
case $platform in proxmox_template | proxmox_vm) ;; *) wrong "there is no platform $platform" ;; esac
folder=$here/playbooks/roles/$platform/tasks
case $platform in
  proxmox_template) tasks='cleanup destroy list preflight-checks verify' ;;
  *) tasks=$(for file in "$folder"/*.yml; do basename -- "$file" .yml; done) ;;
esac
if [ $# -gt 0 ] && [ "$1" != -- ]; then
  task=$1
  shift
  case $task in *[!a-z_-]* | '' | -*) wrong "$task is not the name of a task" ;; esac
  found=
  for one in $tasks; do [ "$one" != "$task" ] || found=1; done
  [ -n "$found" ] || wrong "$platform has no task $task that runs by itself"
fi
if [ $# -gt 0 ]; then
  [ "$1" = -- ] || wrong "options of ansible-playbook come after --"
  shift
fi
if [ -z "$task" ]; then
  for one in $tasks; do echo "$one"; done
  exit 0
fi
program=$here/../.venv/bin/ansible-playbook
[ -x "$program" ] || program=ansible-playbook
export ANSIBLE_CONFIG="${ANSIBLE_CONFIG:-$here/ansible.cfg}"
exec "$program" "$here/playbooks/platform.yml" \
  -e "platform_name=$platform" -e "platform_node=$node" -e "platform_tasks=$task" "$@"
