"""The names that tags may use: playbooks, machines of vms/ and of the inventory, workspaces of clusters/."""

from collections.abc import Collection
from pathlib import Path

from fleet.files import read_text
from fleet.names import playbook_names
from fleet.paths import shown
from fleet.tags.requests import Known
from fleet.vms import files


def what_exists(vms_dir: Path, inventory_path: Path, playbooks_dir: Path, clusters_dir: Path) -> Known:
    """What a checkout has. A folder or an inventory that is not there holds none."""
    machines = {path.stem for path in vms_dir.glob("*.yaml")}
    if inventory_path.is_file():
        from fleet.ansible import inventory

        machines |= set(inventory.parse(read_text(inventory_path)).variables())

    def unplayed(name: str) -> str:
        path = vms_dir / f"{name}.yaml"
        vm = files.load_file(path)[0] if path.is_file() else None
        return f"{vm.path} says {vm.unplayed}" if vm and vm.unplayed else ""

    def workspaces() -> Collection[str]:
        from fleet.workspaces import maps  # few messages name one

        file = clusters_dir / "variables.tf"
        return maps.read(read_text(file), shown(file)).workspaces if file.is_file() else ()

    return Known(playbook_names(playbooks_dir), machines, unplayed, workspaces)
