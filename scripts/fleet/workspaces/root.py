"""Terraform in clusters/, with working data of its own, so that two runs in one checkout do not disturb each other."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fleet.files import read_text
from fleet.findings import Fault, listed
from fleet.terraform import command, plugins, program
from fleet.workspaces import plan

# Variables of Terraform that a person may set apart, and where their values come from otherwise.
GIVEN = {
    "TF_VAR_vault_addr": "VAULT_ADDR",
    "TF_VAR_vault_namespace": "VAULT_NAMESPACE",
    "TF_VAR_chart_mirror": "CHART_MIRROR",
}
MAPS = ("TF_VAR_workload", "TF_VAR_config", "TF_VAR_charts")


class Root(NamedTuple):
    """`data` is a folder of this run alone; it remembers the workspace."""

    directory: Path
    data: Path
    access: Mapping[str, str] = {}  # of the cluster; none where only the state is read

    @property
    def settings(self) -> dict[str, str]:
        return settings(os.environ, self.access) | {"TF_DATA_DIR": str(self.data)}

    def run(self, *arguments: str, capture: bool = False) -> str:
        return command.checked(self.directory, *arguments, capture=capture, settings=self.settings)

    def init(self) -> None:
        plugins.init(self.directory, self.settings, self.data)

    def select(self, workspace: str) -> None:
        """Make the workspace the one of all that follows; made where there is none."""
        self.run("workspace", "select", "-or-create", workspace, capture=True)

    def workspaces(self) -> list[str]:
        """Those of the backend. `default`, which Terraform always lists, is left out."""
        lines = self.run("workspace", "list", capture=True).splitlines()
        return sorted({line.strip("* \t") for line in lines} - {"", "default"})

    def state(self) -> dict[str, str]:
        """The selected workspace's resources, as workspaces.plan.state gives them."""
        return plan.state(self.run("state", "pull", capture=True))


def settings(environment: Mapping[str, str], access: Mapping[str, str]) -> dict[str, str]:
    """What Terraform's environment gets beside our own: the way to the cluster, and nothing that leads elsewhere.

    Raises Fault where the environment would give other maps than the file that was checked.
    """
    if wrong := [name for name in MAPS if name in environment]:
        raise Fault(f"{listed(wrong)}: the maps are read from clusters/variables.tf alone; unset it", code=2)
    # The provider asks another cluster by KUBE_HOST and its like, looks elsewhere for releases by HELM_DRIVER, and
    # options such as -refresh=false or -target would get past the guard. An empty variable is none.
    foreign = [
        name
        for name in environment
        if name.startswith(("KUBE_", "TF_CLI_ARGS", "HELM_KUBE")) or name == "TF_WORKSPACE"
    ]
    given = {
        variable: environment.get(variable) or environment.get(name, "") for variable, name in GIVEN.items()
    }
    given["TF_VAR_vault_ca"] = environment.get("TF_VAR_vault_ca") or _text(environment.get("VAULT_CACERT"))
    return dict.fromkeys(foreign, "") | {"HELM_DRIVER": "secret"} | given | dict(access)


def _text(file: str | None) -> str:
    return read_text(Path(file)) if file else ""


def by_hand(directory: Path, *arguments: str) -> str:
    """A command for a message, as a person types it."""
    return f"`{program.name()} -chdir={directory.name} {' '.join(arguments)}`"


def show(root: Root, file: Path) -> dict[str, Any]:
    import json

    return json.loads(root.run("show", "-json", str(file), capture=True))
