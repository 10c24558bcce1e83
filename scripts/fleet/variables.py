"""What may stand in `.env`: the file's only table, from which its example, its help and its checks come.

What belongs to "Proxmox" or "Other services" reaches the scripts, Terraform and Ansible as an environment variable. One
that is set already wins, also for snippets. Machines count as the file has them, so that what was deployed can be read
there.
"""

from typing import NamedTuple

PROXMOX, SNIPPETS, MACHINES, SERVICES = "Proxmox", "Snippets", "Machines", "Other services"
GROUPS = (PROXMOX, SNIPPETS, MACHINES, SERVICES)
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
    Variable("PROXMOX_VE_ENDPOINT", PROXMOX, "the address of Proxmox's API: replace pve by a node's name or address",
             "https://pve:8006/", others=("PROXMOX_API_URL",)),
    Variable("PROXMOX_VE_API_TOKEN", PROXMOX, "the token, as USER@REALM!ID=SECRET; `make fix-token` writes it here",
             secret=True, others=("PROXMOX_API_USER and PROXMOX_API_PASSWORD",)),
    Variable("PROXMOX_READ_API_TOKEN", PROXMOX, "a read-only token for reports; `make fix-token` writes it here too",
             secret=True),
    Variable("PROXMOX_VE_INSECURE", PROXMOX, "`true` accepts any certificate, and every run says so", "false"),
    Variable("SSL_CERT_FILE", PROXMOX, "a file of CA certificates, if this computer does not know Proxmox's CA"),
    Variable("PROXMOX_SEAL_IPCONFIG", PROXMOX, "an unused address for the one boot of a template's build, as"
             " ip=192.168.1.9/24,gw=192.168.1.1"),
    Variable("PROXMOX_SNIPPETS", SNIPPETS, "how vendor data gets onto its storage: `none`, `mounted` or `ssh`", "none"),
    Variable("PROXMOX_SNIPPETS_STORAGE", SNIPPETS, "a storage with the content type snippets", "local"),
    Variable("PROXMOX_SNIPPETS_DIR", SNIPPETS, "its folder for snippets: on this computer (`mounted`) or on the nodes"
             " (`ssh`)", "/var/lib/vz/snippets"),
    Variable("PROXMOX_SSH_USER", SNIPPETS, "the user who may write there by SSH; it need not be root", "root"),
    Variable("PROXMOX_SSH_HOSTS", SNIPPETS, "the nodes and their addresses, as node01=192.168.1.11"
             " node02=192.168.1.12:2222"),
    Variable("VM_NAMES", MACHINES, "the machines, as ceph-1 ceph-2 ceph-3"),
    Variable("VM_IDS", MACHINES, "one VMID for each, as 501 502 503; empty: the lowest free ones from 500 on"),
    Variable("VM_NODES", MACHINES, "their nodes, as node01 node02, used in turn; empty: the template's node"),
    Variable("VM_TEMPLATE", MACHINES, "the template's name", "debian12-template"),
    Variable("VM_IMAGE_URL", MACHINES, "a cloud image to use instead of a template; VM_TEMPLATE must then be empty"),
    Variable("VM_IMAGE_CHECKSUM", MACHINES, "the image's checksum, as sha256:…; not needed for an image of"
             " proxmox/images.yml"),
    Variable("VM_CORES", MACHINES, "the cores of each machine", "2"),
    Variable("VM_MEMORY", MACHINES, "the memory of each machine in MiB", "4096"),
    Variable("VM_STORAGE", MACHINES, "the storage of their disks", "local-lvm"),
    Variable("VM_OS_SIZE", MACHINES, "the size of scsi0, the disk with the system; empty: the template's", "50G"),
    Variable("VM_DATA_DISKS", MACHINES, "the number of data disks, from scsi1 on; nothing ever formats them", "0"),
    Variable("VM_DATA_SIZE", MACHINES, "the size of each data disk", "100G"),
    Variable("VM_DATA_STORAGE", MACHINES, "the storage of the data disks; empty: VM_STORAGE"),
    Variable("VM_MON_SIZE", MACHINES, "the size of one more disk after them, on VM_STORAGE, for a Ceph monitor; empty:"
             " no such disk"),
    Variable("VM_BRIDGE", MACHINES, "the bridge of the network card", "vmbr0"),
    Variable("VM_VLAN", MACHINES, "the VLAN of the network card"),
    Variable("VM_ADDRESSES", MACHINES, "dhcp, or one address for each machine, as 192.168.1.61/24 192.168.1.62/24",
             "dhcp"),
    Variable("VM_GATEWAY", MACHINES, "the gateway of these addresses"),
    Variable("VM_DNS", MACHINES, "the name servers, as 192.168.1.1 9.9.9.9"),
    Variable("VM_DOMAIN", MACHINES, "the search domain"),
    Variable("VM_USER", MACHINES, "the user that cloud-init creates; empty: the user of the template or image"),
    Variable("VM_SSH_KEYS_FILE", MACHINES, "a file of public keys; empty: proxmox/authorized_keys"),
    Variable("VM_VENDOR_DATA_FILE", MACHINES, "a file of vendor data for cloud-init, which PROXMOX_SNIPPETS gets to"
             " Proxmox"),
    Variable("PG_CONN_STR", SERVICES, "the database of Terraform's state, as postgres://user:password@host/database",
             secret=True),
    Variable("VAULT_ADDR", SERVICES, "the address of Vault"),
    Variable("VAULT_TOKEN", SERVICES, "Vault's token", secret=True),
    Variable("VAULT_CACERT", SERVICES, "a CA file, if Vault's certificate is not publicly trusted"),
    Variable("VAULT_NAMESPACE", SERVICES, "Vault's namespace, if it has any"),
    Variable("CHART_MIRROR", SERVICES, "the one repository that all charts of clusters/ come from, if not their own"),
    Variable("GITHUB_REPOSITORY", SERVICES, "OWNER/NAME on GitHub, for `make doctor`"),
    Variable("GITHUB_TOKEN", SERVICES, "a token that can read this repository, for `make doctor`", secret=True),
    Variable("GITHUB_API_URL", SERVICES, "the API of a GitHub other than github.com"),
)  # fmt: skip
NAMES = {variable.name: variable for variable in VARIABLES}
