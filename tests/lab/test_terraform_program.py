"""Which program does the work of Terraform in the lab; the programs here are empty."""

import pytest

from lab import LabError, builds, terraform


@pytest.mark.parametrize(
    ("installed", "given", "chosen"),
    [
        (["terraform", "tofu"], "", "bin/terraform"),
        (["tofu"], "", "bin/tofu"),
        (["terraform", "tofu"], "tofu", "bin/tofu"),
        (["terraform"], "tofu", None),  # None: the lab's own
        ([], "tofu", None),
        ([], "", None),
        ([], "{}/cache/opentofu-1.11.4/tofu", "cache/opentofu-1.11.4/tofu"),
    ],
)
def test_the_choice(tmp_path, monkeypatch, installed, given, chosen):
    places = [tmp_path / "cache/opentofu-1.11.4/tofu", *(tmp_path / "bin" / name for name in installed)]
    for path in places:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        path.chmod(0o755)
    linked = tmp_path / "linked/tofu"  # an earlier build, linked beside Python by `make setup`
    linked.parent.mkdir()
    linked.symlink_to(places[0])
    monkeypatch.setattr(terraform, "cache_dir", lambda: tmp_path / "cache")
    monkeypatch.setenv("PATH", f"{linked.parent}:{tmp_path}/bin")
    monkeypatch.setenv("TERRAFORM", given.format(tmp_path))
    own = builds.entry("opentofu") / "tofu"
    assert terraform.program() == str(tmp_path / chosen if chosen else own)
    assert terraform.is_built() == (chosen is None)


def test_what_is_named_is_never_replaced(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TERRAFORM", "terraform-old")
    with pytest.raises(LabError, match="TERRAFORM is terraform-old, which is not a program on PATH"):
        terraform.program()
