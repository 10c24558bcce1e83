"""The longest files of tests begin first, and no file leaves anything to the next one."""

from pathlib import Path
from types import SimpleNamespace

from tests.conftest import LONG, ROOT, pytest_collection_modifyitems


def test_every_long_file_is_there():
    assert [name for name in LONG if not (ROOT / name).is_file()] == []


def test_they_run_before_all_others_and_each_keeps_its_order():
    names = ["tests/vms/test_machine.py", *reversed(LONG), "tests/vms/test_properties.py"]
    items = [SimpleNamespace(path=ROOT / name, number=number) for name in names for number in (1, 2)]
    pytest_collection_modifyitems(items)
    wanted = [*LONG, "tests/vms/test_machine.py", "tests/vms/test_properties.py"]
    assert [(item.path, item.number) for item in items] == [
        (ROOT / name, number) for name in wanted for number in (1, 2)
    ]


def test_a_proxmox_of_empty_machines_lasts_for_one_file():
    """What it sets in the environment would make the machines of the files after it empty too."""
    users = [path for path in (ROOT / "tests").rglob("*.py") if "hollow_proxmox(" in path.read_text()]
    assert [path for path in users if 'scope="session"' in path.read_text() and path != Path(__file__)] == []
