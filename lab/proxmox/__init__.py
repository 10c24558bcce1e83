"""A simulated Proxmox VE cluster of two nodes, whose machines are systemd-nspawn containers.

Requests     server.py (HTTPS), routes.py, api/ (a file for each subject), login.py, errors.py, faults.py
Accounts     access.py (privileges), accounts.py (changes)
Machines     guests.py (configuration files), summary.py, config.py, options.py, properties.py, update.py,
             attach.py (volumes of a configuration), cloudinit.py, pools.py
Volumes      volumes.py (names, sizes), allocation.py (new, copied, freed)
Tasks        tasks.py (UPIDs and logs), worker.py (one task's process), jobs/ (what the tasks do)
Running      machines.py (from outside), machine.py (one machine), nspawn.py, disks.py (loop devices),
             guest_agent.py, boot.py (when a node comes up), state.py (where everything is kept)
"""
