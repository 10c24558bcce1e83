"""The longest files of tests begin first."""

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
