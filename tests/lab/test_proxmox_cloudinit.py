"""The simulated Proxmox: the cloud-init drive and sizes as Proxmox writes them."""

import re

import pytest

from lab.proxmox import cloudinit, properties

# The cloud-init drive as PVE::QemuServer::Cloudinit writes it.
USER_DATA = """\
#cloud-config
hostname: web
manage_etc_hosts: true
fqdn: web.lan
user: suporte
ssh_authorized_keys:
  - ssh-ed25519 AAAA a@b
  - ssh-ed25519 BBBB
chpasswd:
  expire: False
users:
  - default
package_upgrade: true
"""


NETWORK = """\
version: 1
config:
    - type: physical
      name: eth0
      mac_address: 'bc:24:11:2e:01:aa'
      subnets:
      - type: static
        address: '192.168.1.20'
        netmask: '255.255.255.0'
        gateway: '192.168.1.1'
      - type: static6
        address: 'fd00::20/64'
    - type: nameserver
      address:
      - '192.168.1.2'
      search:
      - 'lan'
"""


def test_cloudinit_drive():
    config = {
        "name": "web", "ciuser": "suporte", "searchdomain": "lan", "nameserver": "192.168.1.2",
        "sshkeys": "ssh-ed25519%20AAAA%20a%40b%0Assh-ed25519%20BBBB%0A",
        "net0": "virtio=BC:24:11:2E:01:AA,bridge=vmbr0",
        "ipconfig0": "ip=192.168.1.20/24,gw=192.168.1.1,ip6=fd00::20/64",
    }  # fmt: skip
    seed = cloudinit.seed(config, 500, "node01")
    assert seed["user-data"] == USER_DATA
    assert seed["network-config"] == NETWORK
    assert re.fullmatch(r"instance-id: [0-9a-f]{40}\n", seed["meta-data"])
    same = cloudinit.seed(config | {"memory": "1", "tags": "x"}, 500, "node01")
    assert same == seed
    assert cloudinit.seed(config | {"ciuser": "root"}, 500, "node01")["meta-data"] != seed["meta-data"]


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0"), (1 << 30, "1G"), (1536 << 20, "1536M"), (1 << 40, "1T"), (4 << 20, "4M"), (1000, "1000")],
)
def test_sizes(size, shown):
    assert properties.show_size(size) == shown
    assert properties.to_bytes(shown) == size
