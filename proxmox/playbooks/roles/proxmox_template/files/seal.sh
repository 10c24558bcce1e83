#!/bin/sh
# Runs once, as root, in a machine that is to become a template: installs the guest agent, removes what a first boot
# leaves, so that each clone has a first boot of its own, and switches the machine off. $1: the account of this boot,
# which goes too.
set -eu
cloud-init status --wait >/dev/null || true # a module that failed is no reason to have no agent
if command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update
    apt-get -q install --yes --no-install-recommends qemu-guest-agent
    apt-get -q clean
elif command -v dnf >/dev/null; then
    dnf -q -y install qemu-guest-agent
    dnf -q clean all
elif command -v zypper >/dev/null; then
    zypper --non-interactive --quiet install qemu-guest-agent
    zypper --quiet clean --all
else
    echo "neither apt-get nor dnf nor zypper is here, so qemu-guest-agent cannot be installed" >&2
    exit 1
fi
systemctl -q enable qemu-guest-agent 2>/dev/null || true # Debian's starts with its device and cannot be enabled

# After this session, which could not be closed without its account and the machine's host keys.
cat >/run/template-seal.sh <<'END'
cloud-init clean --logs --seed
rm -f /etc/ssh/ssh_host_* /etc/sudoers.d/90-cloud-init-users /root/.ssh/authorized_keys
rm -f /etc/netplan/50-cloud-init.yaml /etc/network/interfaces.d/50-cloud-init /etc/udev/rules.d/70-persistent-net.rules
rm -f /etc/NetworkManager/system-connections/cloud-init-* /etc/sysconfig/network/ifcfg-eth*
rm -f /var/lib/dhcp/* /var/lib/dbus/machine-id /var/lib/systemd/random-seed
: >/etc/machine-id
journalctl -q --rotate --vacuum-size=1 2>/dev/null || true
userdel --force --remove "$1" 2>/dev/null || true
fstrim --all 2>/dev/null || true
systemctl poweroff
END
systemd-run --quiet --collect --on-active=5 --unit=template-seal /bin/sh -eu /run/template-seal.sh "$1"
