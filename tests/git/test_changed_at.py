"""When files were last committed: real repositories."""

from fleet.git.changed_at import changed_at
from tests.helpers.clone import Repo


def test_each_file_has_the_time_of_its_last_commit(tmp_path, monkeypatch):
    repo = Repo(tmp_path / "repo")
    names = ("vms/a.yaml", "vms/b.yaml", "vms/2026-11-27T00:00:00 x", "vms/a.yaml")
    for day, name in enumerate(names, start=1):
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"2026-11-0{day}T00:00:00+00:00")
        repo.write(f"proxmox/{name}", str(day))
        repo.commit(name)
    assert changed_at(repo.path, "proxmox/vms") == {
        "proxmox/vms/a.yaml": "2026-11-04T00:00:00+00:00",
        "proxmox/vms/b.yaml": "2026-11-02T00:00:00+00:00",
        "proxmox/vms/2026-11-27T00:00:00 x": "2026-11-03T00:00:00+00:00",
    }
    assert changed_at(tmp_path / "none", "proxmox/vms") == {}
