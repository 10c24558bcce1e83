#!/bin/bash
# What stands at the address that kube-vip is to announce, seen from a control plane, one fact a line:
#
#   folder         K3s's folder of manifests is there
#   ours           kube-vip of this role announces that very address already
#   own IFACE      this machine has the address
#   routed         the address is in another network, where ARP does not reach
#   taken MAC      another machine answers for it, and none of the control planes does
#
# kube-vip-look.sh ADDRESS MANIFEST CONTROL-PLANE…
set -u
address=$1 manifest=$2
shift 2

# Who answers for an address: its MAC address, or nothing. Any packet makes the kernel ask.
answers() {
  ip -4 neigh flush to "$1" 2>/dev/null
  (echo >"/dev/udp/$1/9") 2>/dev/null
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    found=$(ip -4 neigh show to "$1")
    case $found in
      *lladdr*)
        echo "$found" | sed -n 's/.* lladdr \([0-9a-f:]*\) .*/\1/p' | head -n 1
        return
        ;;
      *FAILED*) return ;;
    esac
    sleep 0.2
  done
}

[ ! -d "$(dirname "$manifest")" ] || echo folder
if grep -q "^# Written by Ansible, role k8s_ha" "$manifest" 2>/dev/null && grep -qF "value: \"$address\"" "$manifest"; then
  echo ours
  exit
fi
interface=$(ip -4 -o addr show | grep -F " inet $address/" | sed 's/^[0-9]*: *\([^ ]*\) .*/\1/' | head -n 1)
if [ -n "$interface" ]; then
  echo "own $interface"
  exit
fi
route=$(ip -4 route get "$address" 2>/dev/null)
case $route in
  '' | *' via '*)
    echo routed
    exit
    ;;
esac
mac=$(answers "$address")
[ -n "$mac" ] || exit 0
# A new control plane joins where others announce it already.
for plane in "$@"; do
  [ "$(answers "$plane")" != "$mac" ] || exit 0
done
echo "taken $mac"
