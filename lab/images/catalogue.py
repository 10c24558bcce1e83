"""The catalogue of the site's images, in the form of proxmox/images.yml."""

from lab.images import layout

TEXT = """\
# The images of the lab's site: written by the lab at each start.
debian12:
  aliases: [debian-12]
  url: {site}{debian}/latest/debian-12-generic-amd64.qcow2
  checksums: {site}{debian}/latest/SHA512SUMS
  builds: {site}{debian}/
  user: debian
  agent: false
  firmware: seabios
ubuntu24:
  aliases: [ubuntu-24.04, ubuntu-24]
  url: {site}{ubuntu}/release/ubuntu-24.04-server-cloudimg-amd64.img
  checksums: {site}{ubuntu}/release/SHA256SUMS
  builds: {site}{ubuntu}/
  user: ubuntu
  agent: false
  firmware: seabios
rocky9:
  aliases: [rocky-9]
  url: {site}{rocky}/Rocky-9-GenericCloud-Base.latest.x86_64.qcow2
  checksums: {site}{rocky}/Rocky-9-GenericCloud-Base.latest.x86_64.qcow2.CHECKSUM
  user: rocky
  agent: true
  firmware: seabios
"""


def text(site: str) -> str:
    """The catalogue of the site at this address, such as https://192.168.1.1."""
    return TEXT.format(site=site, debian=layout.DEBIAN, ubuntu=layout.UBUNTU, rocky=layout.ROCKY)
