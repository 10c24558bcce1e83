"""validate_vms.py: the example trees of tests/cases/vms, every way to call it, what an attacker would try.

A case is a file `files/NAME.yaml` with what is to be found in it beside it in NAME.txt (empty: nothing), or a
folder `fleets/NAME` with vms/, perhaps playbooks/, and expected.txt.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

import validate_vms
from fleet import names, paths
from fleet.findings import Fault, Finding, cut, printable
from fleet.rules import file as rules
from fleet.terraform import program, tfvars
from fleet.vms import files as vms
from fleet.vms.machine import machine
from lab.proxmox import cloudinit
from tests.helpers.machines import KEY
from tests.helpers.machines import text as file_text

CASES = Path(__file__).parents[1] / "cases" / "vms"
FILES = sorted((CASES / "files").glob("*.yaml"))
FLEETS = sorted((CASES / "fleets").iterdir())

GOOD = """\
name: {name}
target_node: node01
cores: 2
memory: 2048
clone: ubuntu24-template
ipconfig0: "ip=192.168.1.{host}/24,gw=192.168.1.1"
ciuser: suporte
"""


def folder(tmp_path: Path, **files: str) -> Path:
    """A folder of VM files; the name of each is its own, and `_` stands for `-`."""
    vms_dir = tmp_path / "vms"
    vms_dir.mkdir()
    for name, text in files.items():
        (vms_dir / f"{name.replace('_', '-')}.yaml").write_text(text)
    return vms_dir


def text_of(findings: list[Finding]) -> str:
    return "".join(f"{finding.text()}\n" for finding in findings)


def check_file(path: Path) -> list[Finding]:
    vm, findings = vms.load_file(path)
    findings += rules.check(vm, findings) if vm else []
    return sorted(findings, key=lambda finding: (finding.line, finding.col))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_one_file(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    assert text_of(check_file(Path(path.name))) == path.with_suffix(".txt").read_text()


@pytest.mark.parametrize("path", FLEETS, ids=lambda path: path.name)
def test_fleet(path, monkeypatch):
    monkeypatch.chdir(path)
    _, findings = validate_vms.check_folder(Path("vms"))
    assert text_of(findings) == Path("expected.txt").read_text()


# What is said of a file as a whole, or of a line that belongs to no field.
OF_NO_FIELD = (
    "is empty; a VM file",
    "holds a ",
    "is not valid UTF-8",
    "a merge conflict",
    "a field's name must be",
    "starts with a byte order mark",
    "merge keys (<<)",
    "YAML readers disagree on the meaning of",  # of a field's name
    "is not valid YAML: did not find expected <document start>",
    "is not valid YAML: found incompatible YAML document",
    "is not valid YAML: expected a single document",
    "is larger than",
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_finding_names_its_field(path):
    for finding in check_file(path):
        if finding.field:
            assert finding.message.startswith(f"{cut(printable(finding.field))}: "), finding
        else:
            assert finding.message.startswith(OF_NO_FIELD), finding


def test_every_case_has_its_expectation_and_its_file():
    for path in (CASES / "files").iterdir():
        assert path.with_suffix(".txt").exists() and path.with_suffix(".yaml").exists(), path


@pytest.mark.parametrize("fmt", ["text", "github", "json"])
@pytest.mark.parametrize("path", FLEETS, ids=lambda path: path.name)
def test_main(path, fmt, monkeypatch, capsys):
    monkeypatch.chdir(path)
    expected = Path("expected.txt").read_text().splitlines()
    status = validate_vms.main(["--vms-dir", "vms", "--format", fmt])
    out, err = capsys.readouterr()
    errors = [line for line in expected if ": warning: " not in line]
    assert status == int(bool(errors))
    if fmt == "json":
        told = json.loads(out)
        assert [Finding(**finding).text() for finding in told] == expected
        assert not err
    elif fmt == "github":
        assert err.count("::error ") == len(errors) and len(err.splitlines()) == len(expected)
    else:
        assert err.splitlines() == expected
    assert (": valid" in out) == (status == 0 and fmt != "json")


def test_warning_alone_is_no_failure(tmp_path, capsys):
    vms_dir = folder(tmp_path, haproxy=GOOD.format(name="haproxy", host=20))
    assert validate_vms.main(["--vms-dir", str(vms_dir), "--format", "text"]) == 0
    out, err = capsys.readouterr()
    assert "warning: name: haproxy is also the name of" in err and out == "1 VM file: valid\n"


def test_annotation_is_at_the_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(
        folder(tmp_path, a=GOOD.format(name="a", host=20).replace("cores: 2", "cores: 0")).parent
    )
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert validate_vms.main(["--vms-dir", "vms"]) == 1
    assert capsys.readouterr().err == "::error file=vms/a.yaml,line=3,col=1::cores: 0 is less than 1\n"


def test_the_repositorys_own_files():
    assert validate_vms.main([]) == 0
    assert set(names.UNMANAGED) <= {path.stem for path in paths.VMS_DIR.glob("*.yaml")}


@pytest.mark.parametrize("network", ["192.168.1.{}/24,gw=192.168.1.254", "10.0.0.{}/8,gw=10.255.255.254"])
def test_the_samples_collide_with_no_newcomers_network(tmp_path, capsys, network):
    vms_dir = tmp_path / "vms"
    shutil.copytree(paths.VMS_DIR, vms_dir)
    for host in range(1, 250):
        name = f"web-{host}"
        good = GOOD.format(name=name, host=host).splitlines()
        lines = [line for line in good if not line.startswith("ipconfig0")]
        lines += [f'ipconfig0: "ip={network.format(host)}"', f"vmid: {100 + host}"]
        (vms_dir / f"{name}.yaml").write_text("\n".join(lines) + "\n")
    assert validate_vms.main(["--vms-dir", str(vms_dir), "--format", "text"]) == 0
    assert not capsys.readouterr().err


# As a pre-commit hook: some files are given.


def test_given_files_are_checked_against_the_others(tmp_path, capsys):
    bad = GOOD.format(name="bad", host=20).replace("cores", "coers")
    vms_dir = folder(tmp_path, a=GOOD.format(name="a", host=20), b=GOOD.format(name="b", host=21), bad=bad)
    given = [str(vms_dir / "a.yaml")]
    assert validate_vms.main([*given, "--format", "text"]) == 1
    err = capsys.readouterr().err
    # The conflict stands at the file that was given, though it is the first of the two.
    assert (
        f"a.yaml:6:1: ipconfig0: 192.168.1.20 is already used by bad ({vms_dir}/bad.yaml:6:1); change" in err
    )
    assert "coers" not in err and len(err.splitlines()) == 1
    assert validate_vms.main([str(vms_dir / "b.yaml"), "--format", "text"]) == 0
    assert capsys.readouterr().out == "1 VM file: valid\n"


def test_given_files_of_two_folders(tmp_path, capsys):
    one = folder(tmp_path, a=GOOD.format(name="a", host=20))
    (tmp_path / "two").mkdir()
    two = folder(tmp_path / "two", a=GOOD.format(name="a", host=20), b=GOOD.format(name="c", host=21))
    assert validate_vms.main([str(one / "a.yaml"), str(two / "b.yaml"), "--format", "text"]) == 1
    assert "b.yaml:1:1: name: is c" in capsys.readouterr().err


def test_two_gateways_at_the_given_file(tmp_path, capsys):
    other = GOOD.format(name="b", host=21).replace("gw=192.168.1.1", "gw=192.168.1.254")
    third = GOOD.format(name="c", host=22).replace("gw=192.168.1.1", "gw=192.168.1.254")
    vms_dir = folder(tmp_path, a=GOOD.format(name="a", host=20), b=other, c=third)
    assert validate_vms.main([str(vms_dir / "a.yaml"), "--format", "text"]) == 0
    err = capsys.readouterr().err
    assert (
        "a.yaml:6:1: warning: ipconfig0: the gateway of 192.168.1.0/24 is 192.168.1.1 here but 192.168.1.254 for b"
        in err
    )
    (vms_dir / "d.yaml").write_text(GOOD.format(name="d", host=23))
    assert validate_vms.main([str(vms_dir / "d.yaml"), "--format", "text"]) == 0


def test_nested_subnets_at_the_given_file(tmp_path, capsys):
    wide = GOOD.format(name="b", host=21).replace("/24", "/16")
    vms_dir = folder(tmp_path, a=GOOD.format(name="a", host=20), b=wide, c=GOOD.format(name="c", host=22))
    for name, other, subnets in [
        ("a", "b", "192.168.1.0/24 overlaps 192.168.0.0/16"),
        ("b", "a", "192.168.0.0/16 overlaps 192.168.1.0/24"),
        ("c", "b", "192.168.1.0/24 overlaps 192.168.0.0/16"),
    ]:
        assert validate_vms.main([str(vms_dir / f"{name}.yaml"), "--format", "text"]) == 0
        err = capsys.readouterr().err
        assert f"{name}.yaml:6:1: warning: ipconfig0: the subnet {subnets} of {other} (" in err
        assert len(err.splitlines()) == 1


def test_given_yml_says_rename(tmp_path, capsys):
    vms_dir = folder(tmp_path, a=GOOD.format(name="a", host=20))
    (vms_dir / "b.yml").write_text(GOOD.format(name="b", host=21))
    assert validate_vms.main([str(vms_dir / "b.yml"), "--format", "text"]) == 1
    assert "b.yml: is ignored, because VM files end in .yaml; rename it to b.yaml" in capsys.readouterr().err


def test_hook_in_another_repository(tmp_path):
    """By pre-commit itself, in an environment that it makes: some files are given, all are read."""
    shutil.copytree(CASES / "fleets" / "two-gateways", tmp_path / "proxmox")
    files = [
        "vms/k8s-dev.yml",
        "vms/k8s-home.YAML",
        "vms/.hidden.yaml",
        "vms/old/x.yaml",
        "playbooks/k8s.yml",
    ]
    for name in files:
        (tmp_path / "proxmox" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "proxmox" / name).write_text("")
    git = ["git", "-C", tmp_path]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    command = [
        Path(sys.executable).with_name("pre-commit"),
        "try-repo",
        paths.ROOT,
        "validate-vms",
        "--files",
    ]
    done = subprocess.run(
        [*command, "proxmox/vms/a.yaml", *(f"proxmox/{name}" for name in files)],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "GITHUB_ACTIONS"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done
    found = [line.partition(":")[0] for line in done.stdout.splitlines() if line.startswith("proxmox/")]
    assert sorted(found) == [
        "proxmox/vms/a.yaml",
        "proxmox/vms/k8s-dev.yml",
        "proxmox/vms/k8s-home.YAML",
        "proxmox/vms/old/x.yaml",
    ], done.stdout
    assert "a.yaml:6:1: warning: ipconfig0: the gateway of 192.168.1.0/24 is 192.168.1.1 here" in done.stdout
    assert "(proxmox/vms/b.yaml:6:1)" in done.stdout


def test_the_fleets_keys(tmp_path, capsys):
    vms_dir = folder(tmp_path, a=GOOD.format(name="a", host=20))
    (vms_dir.parent / "authorized_keys").write_text(
        "# mine\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n"
    )
    assert validate_vms.main(["--vms-dir", str(vms_dir), "--format", "text"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        "authorized_keys:2: this line is a private key, which everyone who can read the repository now has"
        in line
    )


# Wrong usage.


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--vms-dir", "nowhere"], "nowhere: No such file or directory"),
        (["--vms-dir", "file"], "file: Not a directory"),
        (["vms"], "vms is a folder; pass it as --vms-dir vms"),
        (["nowhere.yaml"], "nowhere.yaml does not exist"),
        (["--vms-dir", "vms", "file"], "file is not in vms"),
        (["file"], "file is not a VM file; pass only files called <name>.yaml"),
        (["vms/.hidden.yaml"], "vms/.hidden.yaml is not a VM file"),
    ],
)
def test_wrong_usage(arguments, says, tmp_path, monkeypatch, capsys):
    folder(tmp_path, a=GOOD.format(name="a", host=20))
    (tmp_path / "file").write_text("")
    (tmp_path / "vms" / ".hidden.yaml").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    assert validate_vms.main(arguments) == 2
    assert says in capsys.readouterr().err


def test_unknown_option_is_usage():
    with pytest.raises(SystemExit) as caught:
        validate_vms.main(["--nonsense"])
    assert caught.value.code == 2


def test_empty_folder_is_a_lost_checkout(tmp_path, capsys):
    vms_dir = folder(tmp_path)
    (vms_dir / "README.md").write_text("no VM file")
    assert validate_vms.main(["--vms-dir", str(vms_dir), "--format", "text"]) == 1
    assert "looks like a lost checkout" in capsys.readouterr().err


# What stands in a folder besides good files.


def test_stray_entries(tmp_path, monkeypatch):
    vms_dir = folder(tmp_path, a=GOOD.format(name="a", host=20))
    monkeypatch.chdir(tmp_path)
    (vms_dir / "b.yml").write_text("")
    (vms_dir / "c.YAML").write_text("")
    (vms_dir / "README.md").write_text("")
    (vms_dir / ".a.yaml.swp").write_text("")
    (vms_dir / ".hidden.yaml").write_text("a: b: c")
    (vms_dir / "prod").mkdir()
    (vms_dir / "old" / "deep" / ".git").mkdir(parents=True)
    for name in ("old/x.yaml", "old/deep/y.YML", "old/.hidden.yaml", "old/deep/.git/z.yaml", "old/README.md"):
        (vms_dir / name).write_text("")
    (vms_dir / "elsewhere").symlink_to("old")
    (vms_dir / "folder.yaml").mkdir()
    (vms_dir / "link.yaml").symlink_to("a.yaml")
    (vms_dir / "dangling.yaml").symlink_to("nowhere")
    os.mkfifo(vms_dir / "pipe.yaml")
    found, findings = validate_vms.check_folder(Path("vms"))
    assert list(found) == ["a"]
    below = "is in a folder below vms, which is not read; move it to vms"
    link = "is a symbolic link, so Git would not show a change of its target; commit a file instead"
    assert text_of(findings).splitlines() == [
        "vms/b.yml: is ignored, because VM files end in .yaml; rename it to b.yaml",
        "vms/c.YAML: is ignored, because VM files end in .yaml; rename it to c.yaml",
        f"vms/dangling.yaml: {link}",
        "vms/elsewhere: is a symbolic link to a folder, which is not read; commit its files here",
        "vms/folder.yaml: is a folder, where a VM file is expected",
        f"vms/link.yaml: {link}",
        f"vms/old/deep/y.YML: {below}/y.yaml",
        f"vms/old/x.yaml: {below}/x.yaml",
        "vms/pipe.yaml: is not a regular file; a VM file must be one",
        "vms/prod: warning: is a folder, and subfolders are not read; move its files up",
    ]


def test_every_file_in_a_subfolder_is_an_empty_folder(tmp_path, monkeypatch, capsys):
    """Terraform would get no machine at all."""
    home = tmp_path / "proxmox"
    home.mkdir()
    vms_dir = folder(home)
    monkeypatch.chdir(tmp_path)
    (vms_dir / "prod").mkdir()
    assert validate_vms.main(["--vms-dir", "proxmox/vms", "--format", "text"]) == 1
    assert "looks like a lost checkout" in capsys.readouterr().err
    (vms_dir / "prod" / "k8s-dev.yaml").write_text(GOOD.format(name="k8s-dev", host=20))
    for arguments in (["--vms-dir", "proxmox/vms"], ["proxmox/vms/prod/k8s-dev.yaml"]):
        assert validate_vms.main([*arguments, "--format", "text"]) == 1
        out, err = capsys.readouterr()
        assert err == (
            "proxmox/vms/prod/k8s-dev.yaml: is in a folder below proxmox/vms, which is not read; move it to"
            " proxmox/vms/k8s-dev.yaml\n"
        )
        assert not out


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_unreadable_file(tmp_path):
    vms_dir = folder(tmp_path, a=GOOD.format(name="a", host=20))
    (vms_dir / "a.yaml").chmod(0)
    for parent in (vms_dir, *vms_dir.parents):
        if parent.stat().st_uid == 0 and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
        if parent == Path("/tmp"):
            break
    os.seteuid(65534)
    try:
        _, findings = vms.load_dir(vms_dir)
    finally:
        os.seteuid(0)
    assert [finding.message for finding in findings] == ["cannot be read: Permission denied"]


def test_large_file(tmp_path):
    vms_dir = folder(tmp_path, a="#" * (vms.MAX_BYTES + 1), b="#" * vms.MAX_BYTES)
    _, findings = vms.load_dir(vms_dir)
    assert [finding.message for finding in findings] == [
        "is larger than 1 MiB, the limit for a VM file",
        "is empty; a VM file has at least its required fields",
    ]


def test_no_file_name_makes_a_line_of_its_own(tmp_path, monkeypatch, capsys):
    vms_dir = folder(tmp_path, a=GOOD.format(name="a", host=20))
    monkeypatch.chdir(tmp_path)
    (vms_dir / "b\n::error::c.yaml").write_text(GOOD.format(name="b", host=21))
    (vms_dir / os.fsdecode(b"\xff.yaml")).write_text(GOOD.format(name="c", host=22))
    for fmt in ("text", "github", "json"):
        assert validate_vms.main(["--format", fmt, "--vms-dir", "vms"]) == 1
        out, err = capsys.readouterr()
        assert not any(line.startswith("::error::c") for line in (out + err).splitlines())
        assert "call the file b.yaml" in out + err and "call the file c.yaml" in out + err
    assert validate_vms.main(["vms/b\n::error::c.yaml"]) == 1


@pytest.mark.parametrize(
    "line",
    [
        r'name: "a\n::error::x"',
        r'ipconfig0: "ip=192.168.1.20\n::error::x/24"',
        r'ipconfig0: "ip=192.168.1.20/24,gw=1\r\n::error::x"',
        r'disks: {scsi0: {size: 1G}, scsi1: {size: 1G, mount: "/m\e/x"}, scsi2: {size: 1G, mount: "/m\e"}}',
        "tags: !<x%0A::error::> y",
        'a: &a {"\\n::error::x": 1, "\\n::error::x": 2}',
        r'tags: ["\u2028::error::x", "##[error]x"]',
    ],
)
def test_no_value_makes_a_line_of_its_own(line, tmp_path, capsys):
    field = line.partition(":")[0]
    good = GOOD.format(name="a", host=20).splitlines()
    text = "\n".join([*(one for one in good if not one.startswith(f"{field}:")), line, ""])
    vms_dir = folder(tmp_path, a=text, b=text)
    assert validate_vms.main(["--vms-dir", str(vms_dir), "--format", "text"]) == 1
    for told in capsys.readouterr().err.split("\n")[:-1]:
        assert told.startswith(f"{vms_dir}/") and told.isprintable() and "##[" not in told


def test_terraforms_input_can_be_made_of_good_files():
    for path in FILES:
        if path.name.startswith("good-"):
            made = tfvars.as_data(machine(vms.load_file(path)[0]))
            unset = made.get("hardware", {}).get("cloudinit", {}).get("slot", "ide2") is None
            assert bool(made["ipconfig0"]["ip"]) != unset and all(disk["size"] for disk in made["disks"]), (
                path
            )
            json.dumps(made)


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("ciuser", ["suporte", "n1", "_ops", "y"], ["null", "true", "no", "off"]),
        ("name", ["web-1", "2d", "1e3", "n"], ["on", "null", "yes", "0x1f", "0b1", "12"]),
        (
            "sshkeys",
            [KEY, f"{KEY}@host", f"{KEY} a:b 'x' - it's"],
            [f"{KEY}{end}" for end in (": ops", " ops:", "\t:")],
        ),
    ],
)
def test_what_is_accepted_cloud_init_reads_as_written(field, good, bad):
    """Proxmox writes these into user-data without quotes."""
    for value in (*good, *bad):
        settings = {"name": "a", "ciuser": "suporte", "sshkeys": KEY, field: value}
        fields = {"ciuser": settings["ciuser"], "sshkeys": [settings["sshkeys"]]}
        vm, findings = vms.load_text(f"{settings['name']}.yaml", file_text(settings["name"], **fields))
        assert (findings + rules.check(vm) == []) == (value in good), value
        if value in good:
            data = cloudinit.user_data(settings | {"sshkeys": quote(settings["sshkeys"])}, 100)
            read = yaml.safe_load(data)
            assert value in (read["hostname"], read["user"], *read["ssh_authorized_keys"])


@pytest.mark.parametrize("program", program.NAMES)
def test_terraform_reads_good_files_alike(tmp_path, program):
    """Nothing else should read them, but if something does, it must read the same."""
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    good = [path for path in FILES if path.name.startswith("good-")]
    calls = ", ".join(f"yamldecode(file({json.dumps(str(path))}))" for path in good)
    done = subprocess.run(
        [program, "console"],
        input=f"jsonencode([{calls}])\n",
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    printed = next(line for line in done.stdout.splitlines() if line.startswith('"'))
    for path, read in zip(good, json.loads(json.loads(printed)), strict=True):
        assert read == vms.load_file(path)[0].data, path


# What an attacker would try. Each must end soon, and with a finding.

BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 40)
)
MIB = 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        *(start * (MIB // len(start)) for start in ("[", "{", "- ", "? ", "{a: ", "&a [", "- ? ", "[[a]: ")),
        "".join(f"{' ' * i}a:\n" for i in range(1400)),  # nests by indentation
        "".join(f"{' ' * (8 * i)}{'- ' * 8}\n" for i in range(350)),
        "a: b\n" * (MIB // 5),  # the same field again and again
        "a: yes\n" * (MIB // 7),
        "".join(f"k{i}: 1\n" for i in range(100_000)),
        f"{'k' * MIB}: 1",
        f"name: {'9' * MIB}",
        f"name: {'a-' * (MIB // 2)}",
        f"name: 1{'_' * 50}x",
        f"name: {'1:' * 30}x",
        f"name: '{'a-' * (MIB // 2)}'\nclone: &c '{'a.' * 200_000}!'\ntarget_node: *c\npool: *c\ntags: *c\n",
        f"ipconfig0: '{'ip=1,' * (MIB // 5)}'",
        f"ipconfig0: ip={'1' * MIB}/{'1' * 10}",
        f"boot: order={'scsi0;' * (MIB // 6)}!",
        "sshkeys: [" + "ssh-ed25519 AAAA, " * 50_000 + "]",
        "\x00" * MIB,
        "\t" * MIB,
        "\u2028\n" * 300_000,
        "%YAML 1.1\n" * 90_000,
        "!" * MIB,
        "'" * MIB,
        '"' + "\\x41" * (MIB // 4),
        "a: |\n" + "  b\n" * 200_000,
        "# \n" * 300_000,
    ],
    ids=lambda text: repr(text[:24]),
)
def test_ends_soon(text):
    started = time.monotonic()
    vm, findings = vms.load_text("vms/a.yaml", text)
    findings += rules.check(vm, findings) if vm else []
    assert any(finding.level == "error" for finding in findings)
    assert max(len(finding.message) for finding in findings) < 500
    assert time.monotonic() - started < 10


def test_bomb_needs_no_memory():
    """In a process of its own that may have 400 MB at most."""
    code = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_AS, (400 << 20,) * 2)\n"
        f"sys.path.insert(0, {str(paths.ROOT / 'scripts')!r})\n"
        "from fleet.vms import files as vms\n"
        "print(vms.load_text('a.yaml', sys.stdin.read())[1][0].message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=BOMB, capture_output=True, text=True, timeout=20, check=True
    )
    assert "more values than a VM file can need" in done.stdout


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("cipassword: hunter2-s3cret\n", "hunter2"),
        ("cipasword: hunter2-s3cret\n", "hunter2"),
        ("sshkeys: |\n  -----BEGIN OPENSSH PRIVATE KEY-----\n  hunter2\n", "hunter2"),
        ("sshkeys:\n  - |\n    -----BEGIN OPENSSH PRIVATE KEY-----\n    hunter2\n", "hunter2"),
        ("sshkeys:\n  - hunter2\n", "hunter2"),
    ],
)
def test_no_secret_is_told(text, secret):
    vm, findings = vms.load_text("a.yaml", GOOD.format(name="a", host=20) + text)
    findings += rules.check(vm, findings)
    assert findings and secret not in text_of(findings)


# The package's functions, where no file shows them.


def test_load_text_of_a_removed_file():
    vm, findings = vms.load_text("proxmox/vms/k8s-dev.yaml", GOOD.format(name="k8s-dev", host=20))
    assert not findings and vm.name == "k8s-dev" and vm.managed
    assert vm.data["cores"] == 2 and vm.lines["cores"] == (3, 1)


@pytest.mark.parametrize("name", names.UNMANAGED)
def test_files_of_machines_elsewhere_are_not_managed(name):
    assert not vms.load_text(f"proxmox/vms/{name}.yaml", "name: x\n")[0].managed


def test_name_without_text_is_the_stem():
    assert vms.load_text("vms/a.yaml", "name: [x]\n")[0].name == "a"


def test_lines_of_lists_and_groups():
    vm, _ = vms.load_text("a.yaml", "tags:\n  - x\n  - y\ndisks:\n  scsi0: {size: 1G}\n")
    assert vm.lines["tags.1"] == (3, 5) and vm.lines["disks.scsi0.size"] == (5, 11)


def test_playbooks_are_found_by_their_names(tmp_path):
    (tmp_path / "k8s.yml").write_text("")
    (tmp_path / "notes.txt").write_text("")
    assert names.playbook_names(tmp_path) == {"k8s"}
    assert names.playbook_names(tmp_path / "nowhere") == set()


def test_lost_folder_is_a_fault(tmp_path):
    with pytest.raises(Fault) as caught:
        vms.load_dir(tmp_path / "nowhere")
    assert caught.value.code == 2


def test_runs_from_anywhere_as_a_program(tmp_path):
    shutil.copytree(CASES / "fleets" / "good" / "vms", tmp_path / "vms")
    done = subprocess.run(
        [sys.executable, paths.ROOT / "scripts" / "validate_vms.py", "--vms-dir", "vms"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "3 VM files: valid\n"
