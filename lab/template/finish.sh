#!/bin/sh
# Runs in the new root file system: what must not be the same in two machines goes, and what cannot work in one.
set -e
systemctl -q enable machine-disks.service systemd-networkd.service
# A network that also asks for DHCPv6 or router advertisements is never quite online here, and need not be.
systemctl -q mask systemd-networkd-wait-online.service
systemctl -q mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
    dpkg-db-backup.timer systemd-pstore.service cloud-init-hotplugd.socket console-getty.service getty.target
apt-get -q update
rm -f /etc/ssh/ssh_host_* /etc/hostname /etc/resolv.conf /var/lib/dbus/machine-id
: > /etc/machine-id
: > /etc/resolv.conf
chmod 755 /usr/local/sbin/machine-disks
rm -rf /var/cache/apt/*.bin /var/cache/apt/archives/*.deb /var/log/*.log /var/log/apt /var/cache/ldconfig /tmp/* /var/tmp/*
