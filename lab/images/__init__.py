"""A site of cloud images, laid out as those of Debian, Ubuntu and Rocky Linux are, that fails on request.

builds.py     the images: disks of the machines' root file system as qcow2
shelf.py      which builds of which image are published: a file, so that a test can publish another
layout.py     the paths of a published build, and the files of checksums beside it
listing.py    a folder as Apache shows it
faults.py     what goes wrong, for a request that matches
site.py       what is answered
server.py     the server
catalogue.py  proxmox/images.yml for this site
"""
