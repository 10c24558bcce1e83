"""What a machine gets from its host: a limit of memory, network devices, systemd-nspawn."""

import os
import subprocess
from pathlib import Path

from lab import cgroup
from lab.proxmox import agent_channel, guest_agent, machines, properties, state
from lab.proxmox.disks import Disks
from lab.proxmox.errors import ApiError
from lab.proxmox.guests import Guest


def limit_memory(guest: Guest) -> None:
    size = int(str(guest.config.get("memory", 512)).removeprefix("current=")) << 20
    for folder in cgroup.make(machines.group(guest.vmid)):
        for name in ("memory.limit_in_bytes", "memory.max"):
            if (folder / name).exists():
                (folder / name).write_text(str(size))


def boot(guest: Guest, disks: Disks, console: Path) -> subprocess.Popen:
    """Start systemd-nspawn on the mounted disks; what the machine prints goes to `console`."""
    network = _network(guest)
    command = [
        # Entered before as well, or the machine's /sys would show the network devices of the lab.
        "nsenter", f"--net={network}", "--",
        "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--console=pipe",
        f"--directory={disks.root}", f"--machine=vm{guest.vmid}",
        f"--hostname={guest.name}", "--link-journal=no",
        "--resolv-conf=off", "--timezone=off", f"--bind-ro={disks.guest_directory}:/run/machine",
        *(f"--bind={device}" for device in disks.devices()),
        f"--network-namespace-path={network}",
        *_agent(guest),
        "--capability=CAP_NET_ADMIN,CAP_SYS_RESOURCE",
    ]  # fmt: skip
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    env = os.environ | ({} if unified else {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "0"})
    with console.open("ab") as output:
        return subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )


def _agent(guest: Guest) -> list[str]:
    """What stands for the guest agent's virtio port: a unit that has the agent listen on a socket."""
    if not guest_agent.enabled(guest.config):
        return []
    place = agent_channel.folder(guest.vmid)
    units = place.with_name("units")
    agent_channel.write_unit(units)
    place.mkdir(exist_ok=True)
    (place / agent_channel.SOCKET).unlink(missing_ok=True)
    return [f"--bind={units}:/run/systemd/system", f"--bind={place}:/run/guest-agent"]


def _network(guest: Guest) -> str:
    """Make the machine's network namespace and devices; its name is private to this mount namespace."""
    name = f"vm{guest.vmid}"
    subprocess.run(["ip", "netns", "delete", name], capture_output=True)
    commands = [f"netns add {name}"]
    for key in sorted(k for k in guest.config if properties.NET.fullmatch(k)):
        net, number = properties.parse_net(key, guest.config[key]), key[3:]
        tap, bridge = f"tap{guest.vmid}i{number}", net.get("bridge", state.BRIDGE)
        if subprocess.run(["ip", "link", "show", bridge], capture_output=True).returncode:
            raise ApiError(f"bridge '{bridge}' does not exist")
        subprocess.run(["ip", "link", "delete", tap], capture_output=True)
        device = f"name eth{number} address {net['macaddr'].lower()} netns {name}"
        commands += [
            f"link add {tap} type veth peer {device}",
            f"link set {tap} master {bridge} {'down' if net.get('link_down') == '1' else 'up'}",
        ]
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True)
    return f"/run/netns/{name}"
