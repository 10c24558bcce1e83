"""Terraform in clusters/, with working data of its own, so that two runs in one checkout do not disturb each other."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fleet.files import read_text
from fleet.findings import Fault, listed
from fleet.releases import plan
from fleet.terraform import command, plugins

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
    # Options such as -refresh=false or -target would get past the guard. An empty variable is none.
    foreign = [name for name in environment if name.startswith("TF_CLI_ARGS") or name == "TF_WORKSPACE"]
    # The provider looks for releases by HELM_DRIVER.
    return dict.fromkeys(foreign, "") | {"HELM_DRIVER": "secret"} | _given(environment) | dict(access)


def _given(environment: Mapping[str, str]) -> dict[str, str]:
    """The mirror of charts, and how the cluster reaches Vault: as we do, unless the variable of clusters/ is set."""
    file = environment.get("VAULT_CACERT")
    values = {
        "TF_VAR_vault_addr": environment.get("VAULT_ADDR", ""),
        "TF_VAR_vault_ca": read_text(Path(file)) if file else "",
        "TF_VAR_vault_namespace": environment.get("VAULT_NAMESPACE", ""),
        "TF_VAR_chart_mirror": environment.get("CHART_MIRROR", ""),
    }
    return values | {name: environment[name] for name in values if environment.get(name)}


def show(root: Root, file: Path) -> dict[str, Any]:
    import json

    return json.loads(root.run("show", "-json", str(file), capture=True))
