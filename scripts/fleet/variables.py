"""What may stand in `.env`: the file's only table, from which its example, its help and its checks come.

What belongs to "Proxmox" or "Other services" reaches the scripts, Terraform and Ansible as an environment variable; the
rest is read by generate_config.py alone.
"""

from typing import NamedTuple

PROXMOX, SNIPPETS, MACHINES, SERVICES = "Proxmox", "Snippets", "Machines", "Other services"
ENVIRONMENT = (PROXMOX, SERVICES)  # groups whose values become environment variables


class Variable(NamedTuple):
    """`value`: what `.env.example` has, empty where it stays to be filled in; `others`: names from older guides."""

    name: str
    group: str
    what: str
    value: str = ""
    secret: bool = False
    others: tuple[str, ...] = ()


VARIABLES = (
    Variable("PROXMOX_VE_ENDPOINT", PROXMOX, "the address of Proxmox, as https://pve.example.org:8006/",
             "https://pve:8006/", others=("PROXMOX_API_URL",)),
    Variable("PROXMOX_VE_API_TOKEN", PROXMOX, "USER@REALM!ID=SECRET; `make fix-token` makes it",
             secret=True, others=("PROXMOX_API_USER and PROXMOX_API_PASSWORD",)),
    Variable("PROXMOX_READ_API_TOKEN", PROXMOX, "a token that can only look; `make fix-token` makes it too",
             secret=True),
    Variable("PROXMOX_VE_INSECURE", PROXMOX, "true accepts any certificate; said on each run", "false"),
    Variable("SSL_CERT_FILE", PROXMOX, "a bundle of CAs, where this computer does not know the one of Proxmox"),
    Variable("PROXMOX_SEAL_IPCONFIG", PROXMOX, "a free address for the one boot of a template's build, as"
             " ip=192.168.1.9/24,gw=192.168.1.1"),
    Variable("PROXMOX_SNIPPETS", SNIPPETS, "how vendor data gets onto the storage: none, mounted or ssh", "none"),
    Variable("PROXMOX_SNIPPETS_STORAGE", SNIPPETS, "the storage with content snippets", "local"),
    Variable("PROXMOX_SNIPPETS_DIR", SNIPPETS, "its folder for snippets: here (mounted) or on the nodes (ssh)",
             "/var/lib/vz/snippets"),
    Variable("PROXMOX_SSH_USER", SNIPPETS, "who may write there by SSH; root is not needed", "root"),
    Variable("PROXMOX_SSH_HOSTS", SNIPPETS, "the nodes' addresses, as node01=192.168.1.11 node02=192.168.1.12"),
    Variable("VM_NAMES", MACHINES, "the machines, as ceph-1 ceph-2 ceph-3; none means none"),
    Variable("VM_IDS", MACHINES, "their VMIDs in the same order; empty: the lowest free ones from 500 on"),
    Variable("VM_NODES", MACHINES, "their nodes, in turn where there are fewer than machines"),
    Variable("VM_TEMPLATE", MACHINES, "the template's name", "debian12-template"),
    Variable("VM_IMAGE_URL", MACHINES, "a cloud image instead of a template"),
    Variable("VM_IMAGE_CHECKSUM", MACHINES, "its checksum, as sha256:…"),
    Variable("VM_CORES", MACHINES, "cores of each", "2"),
    Variable("VM_MEMORY", MACHINES, "MiB of memory of each", "4096"),
    Variable("VM_STORAGE", MACHINES, "the storage of the disks", "local-lvm"),
    Variable("VM_OS_SIZE", MACHINES, "the system's disk, scsi0", "50G"),
    Variable("VM_DATA_DISKS", MACHINES, "how many data disks, scsi1 and so on; nothing formats them", "0"),
    Variable("VM_DATA_SIZE", MACHINES, "the size of each data disk", "100G"),
    Variable("VM_DATA_STORAGE", MACHINES, "their storage, where it is another"),
    Variable("VM_MON_SIZE", MACHINES, "one more raw disk behind them, as for a Ceph monitor; empty: none"),
    Variable("VM_BRIDGE", MACHINES, "the bridge of the network card", "vmbr0"),
    Variable("VM_VLAN", MACHINES, "its VLAN"),
    Variable("VM_ADDRESSES", MACHINES, "dhcp, or one for each, as 192.168.1.61/24 192.168.1.62/24",
             "dhcp"),
    Variable("VM_GATEWAY", MACHINES, "the gateway of such addresses"),
    Variable("VM_DNS", MACHINES, "name servers"),
    Variable("VM_DOMAIN", MACHINES, "the search domain"),
    Variable("VM_USER", MACHINES, "the user that cloud-init makes", "ubuntu"),
    Variable("VM_SSH_KEYS_FILE", MACHINES, "public keys; empty: proxmox/authorized_keys"),
    Variable("PG_CONN_STR", SERVICES, "the database of Terraform's state, for `make plan`", secret=True),
    Variable("VAULT_ADDR", SERVICES, "the address of Vault"),
    Variable("VAULT_TOKEN", SERVICES, "Vault's token", secret=True),
    Variable("VAULT_CACERT", SERVICES, "a CA file, where Vault's certificate is not publicly trusted"),
    Variable("VAULT_NAMESPACE", SERVICES, "Vault's namespace, where it has them"),
    Variable("GITHUB_REPOSITORY", SERVICES, "OWNER/NAME on GitHub, for `make doctor`"),
    Variable("GITHUB_TOKEN", SERVICES, "a token that may read it", secret=True),
    Variable("GITHUB_API_URL", SERVICES, "the API of another GitHub than github.com"),
)  # fmt: skip
NAMES = {variable.name: variable for variable in VARIABLES}
