"""Variables of machines as an inventory that Ansible reads from memory: a secret among them is never on a disk."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

GIVEN = "playbook_vars_are_given"  # the role `controller` refuses a machine whose file has some, without it


class _Text(str):
    """Text that Ansible must not evaluate, whatever is in it."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(_Text, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text), style='"'))


@contextlib.contextmanager
def inventory(folder: Path, variables: Mapping[str, Mapping[str, Any]]) -> Iterator[list[Path]]:
    """An inventory with these variables by host; none where there are none.

    It is a link in `folder` to a file that only the memory of this process has, so it is gone with the process,
    however that ends. Other users can read neither.
    """
    if not variables:
        yield []
        return
    hosts = {name: {GIVEN: True} | _marked(own) for name, own in variables.items()}
    text = yaml.dump({"all": {"hosts": hosts}}, Dumper=_Dumper, allow_unicode=True, width=1 << 20)
    handle = os.memfd_create("inventory", os.MFD_CLOEXEC)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(handle, 0o600)
        file.write(text)
        file.flush()
        link = folder / "variables.yaml"  # Ansible goes by the name's end
        link.symlink_to(f"/proc/{os.getpid()}/fd/{handle}")
        yield [link]


def _marked(value: Any) -> Any:
    if isinstance(value, str):
        return _Text(value)
    if isinstance(value, Mapping):
        return {key: _marked(child) for key, child in value.items()}
    return [_marked(child) for child in value] if isinstance(value, list) else value
