"""A simulated Proxmox VE cluster of two nodes, whose machines are systemd-nspawn containers.

Requests     server.py (HTTPS), routes.py, api/ (a file for each subject), login.py, errors.py, faults.py
Accounts     roles.py (privileges by release), access.py (who has which), accounts.py (changes), permissions.py (who may
             set which option)
Machines     guests.py (configuration files), summary.py, config.py, update.py, hotplug.py (what a running one takes),
             attach.py (volumes of a configuration), cloudinit.py, pools.py, ha.py, mappings.py (devices), containers.py
Options      options.py (which there are), formats.py (tables of property strings), schema.py (how they are checked),
             processors.py (types and flags), properties.py (drives and cards, sizes)
Volumes      volumes.py (names, sizes), allocation.py (new, copied, freed), contents.py and multipart.py (brought here)
Tasks        tasks.py (UPIDs and logs), worker.py (one task's process), jobs/ (what the tasks do)
Running      machines.py (from outside), machine.py (one machine), nspawn.py, disks.py (loop devices),
             guest_agent.py and agent_channel.py, boot.py (when a node comes up), state.py (where everything is kept)
"""
