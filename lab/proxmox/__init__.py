"""A stand-in for a Proxmox VE cluster of two nodes, whose machines are systemd-nspawn containers.

server.py      HTTPS, authentication, envelopes          access.py    users, tokens, roles, ACLs
api_*.py       what each request does                    faults.py    what tests break
config.py      changes to a machine's configuration      tasks.py     UPIDs, workers, task logs
properties.py  options and property strings              jobs.py      what the workers do
volumes.py     disk images                               machines.py  starts and stops machines
guests.py      configuration files                       machine.py   one running machine
cloudinit.py   the seed as Proxmox makes it              disks.py     loop devices
"""
