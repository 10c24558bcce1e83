"""All that the doctor asks, in the order in which it is shown."""

from functools import partial

from fleet.doctor import computer, configured, github, guests, proxmox, rights, state, storages, vault
from fleet.doctor.line import COMPUTER, GITHUB, PROXMOX, STATE, VAULT, Check


def checks(env_problem: str | None) -> list[Check]:
    """`env_problem`: what `load_env` returned."""
    pve, safe, repository = proxmox.Proxmox(), vault.Vault(), github.Repository()

    def clock():
        return computer.clock({"Proxmox": pve.reached.ahead, "Vault": safe.ahead})

    here = [
        Check(COMPUTER, "Python", computer.python),
        Check(COMPUTER, "packages", partial(computer.packages, computer.imported())),
        Check(COMPUTER, "Ansible", computer.ansible),
        Check(COMPUTER, "Terraform", computer.terraform),
        Check(COMPUTER, "Git", computer.git),
        Check(COMPUTER, "SSH client", computer.ssh),
        *([Check(COMPUTER, "talosctl", configured.talosctl)] if configured.has_talos() else []),
        Check(COMPUTER, ".env", partial(configured.env_file, env_problem)),
        Check(COMPUTER, "public keys", computer.authorized_keys),
        Check(COMPUTER, "disk space", computer.space),
        Check(COMPUTER, "clock", clock, after=(f"{PROXMOX}/endpoint", f"{VAULT}/address")),
    ]
    gate = ("endpoint", "certificate", "token")
    asked = [
        Check(PROXMOX, "endpoint", partial(proxmox.endpoint, pve, env_problem is None)),
        Check(PROXMOX, "certificate", partial(proxmox.certificate, pve), needs=gate[:1]),
        Check(PROXMOX, "token", partial(rights.token, pve), needs=gate[:2]),
        Check(PROXMOX, "read-only token", partial(rights.read_token, pve), needs=gate[:2]),
        *(
            Check(PROXMOX, name, partial(ask, pve), needs=gate)
            for name, ask in (
                ("version", proxmox.version),
                ("nodes", proxmox.nodes),
                ("rights", rights.operations),
                ("no more rights", rights.spare),
                ("storages", storages.storages),
                ("bridge", storages.bridges),
                ("templates", guests.templates),
                ("named templates", guests.named),
                ("VMID range", guests.next_id),
                ("guest agents", guests.agents),
                ("snippets", storages.snippets),
            )
        ),
    ]
    kept = [
        Check(STATE, "backend", state.backend),
        Check(STATE, "PG_CONN_STR", state.form, needs=("backend",)),
        Check(STATE, "database", state.database, needs=("backend", "PG_CONN_STR")),
    ]
    stored = [
        Check(VAULT, "address", partial(vault.address, safe)),
        Check(VAULT, "seal", partial(vault.seal, safe), needs=("address",)),
        Check(VAULT, "token", partial(vault.token, safe), needs=("address", "seal")),
        Check(VAULT, "rights", partial(vault.rights, safe), needs=("token",)),
        Check(VAULT, "mount", partial(vault.mount, safe), needs=("token", "rights")),
        Check(VAULT, "workloads", partial(vault.logins, safe), needs=("token", "rights")),
    ]
    published = [
        Check(GITHUB, "repository", partial(github.repository, repository)),
        Check(GITHUB, "runner", partial(github.runner, repository), needs=("repository",)),
        Check(GITHUB, "secrets", partial(github.secrets, repository), needs=("repository",)),
        Check(GITHUB, "last runs", partial(github.last_runs, repository), needs=("repository",)),
    ]
    return [*here, *asked, *kept, *stored, *published]
