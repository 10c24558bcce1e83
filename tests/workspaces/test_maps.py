"""What is read of variables.tf without Terraform, held against what Terraform reads."""

import base64
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fleet.findings import Fault
from fleet.workspaces import hcl, maps
from fleet.workspaces.literals import literal
from lab import terraform

ROOT = Path(__file__).resolve().parents[2]
VARIABLES = """\
variable "workload" {{
  type    = map(list(string))
  default = {workload}
}}
variable "config" {{
  type    = map(object({{ kubernetes_context = string, install_crd = optional(bool, true) }}))
  default = {config}
}}
variable "charts" {{
  type    = map(object({{ repository = string, chart = string, version = string }}))
  default = {{}}
}}
"""


def console(folder: Path, values: list[str]) -> list | None:
    """Values as Terraform has them; None where it refuses the configuration."""
    asked = (
        f"base64encode(jsonencode([{', '.join(values)}]))\n"  # the console quotes a text in a way of its own
    )
    environment = os.environ | {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
    command = [terraform.program(), f"-chdir={folder}", "console"]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, env=environment)
    return json.loads(base64.b64decode(done.stdout)) if done.returncode == 0 else None


def terraform_of(folder: Path, texts: list[str]) -> list | None:
    """The values of defaults as Terraform has them, their own types kept; None where it refuses one of them."""
    blocks = [f'variable "v{number}" {{\n  default = {text}\n}}\n' for number, text in enumerate(texts)]
    (folder / "variables.tf").write_text("".join(blocks))
    return console(folder, [f"var.v{number}" for number in range(len(texts))])


def ours(text: str):
    blocks, _ = hcl.read(f'variable "v" {{\n  default = {text}\n}}\n', "v.tf")
    return literal(blocks[0].attributes["default"], "v.tf").value


READ = (
    "{}",
    "[]",
    '["a", "b",]',
    '[\n  "a", # first\n  "b" // second\n  /* none */\n]',
    '{ a = "1", b : "2" }',
    '{\n  a = "1"\n  "b c" = "2",\n  k8s-dev = true\n}',
    '{ "a.b" = { c = ["x"] } }',
    '"q\\"\\\\ \\n\\t\\r \\u00e9 \\U0001F600"',
    '"$${x} %%{y} $x %y $$ 5% a$"',
    '[" a ", " ", "\t", " # ", "/* x"]',
    '"e\u0301"',  # two characters that Terraform makes one
    '{ "e\u0301" = 1 }',
    "{\r\n  a = true\r\n}",
    '{ a = null, b = 3, c = 1.5, d = "" }',
    '{ "a" = "x" # the first\n  b = "}" }',
    '["]", "#", "//", "/*", "*/"]',
)

# What is refused; the second says whether Terraform refuses it too.
REFUSED = (
    ('[upper("a")]', True, "is not a literal"),
    ("{ a = var.v0 }", True, "is not a literal"),
    ("local.x", True, "is not a literal"),
    ('"${var.v0}"', True, "is not a literal"),
    ('["a" "b"]', True, "is not valid HCL"),
    ('{ a = "1"', True, "is not valid HCL"),
    ('"a\n"', True, "not closed on its line"),
    ('"\\d"', True, "is not valid HCL"),
    ('"\\ud800"', False, "is not an escape"),
    ('{ a = "1", a = "2" }', False, "is there twice, in line 2 too"),
    ('{ a = "1", "a" = "2" }', False, "is there twice"),
    ("[for x in [1] : x]", False, "is not a literal"),
    ('"${"x"}"', False, "is not a literal"),
    ("1 + 1", False, "is not a literal"),
    ('true ? "a" : "b"', False, "is not a literal"),
    ('{ (true) = "1" }', False, "is not a literal"),
    ("<<EOT\nx\nEOT\n", False, "is not a literal"),
    ("0 - 1", False, "is not a literal"),
)


def test_literals_are_what_terraform_reads(tmp_path):
    assert [ours(text) for text in READ] == terraform_of(tmp_path, list(READ))


@pytest.mark.parametrize(("text", "both", "message"), REFUSED)
def test_what_is_not_a_literal_is_refused(text, both, message, tmp_path):
    with pytest.raises(Fault) as fault:
        ours(text)
    assert message in str(fault.value)
    assert fault.value.finding.path == "v.tf" and fault.value.finding.line >= 2
    assert not both or terraform_of(tmp_path, [text]) is None


def test_what_is_nested_without_end_is_refused():
    for wrong in ("[" * 5000 + "]" * 5000, "-" * 5000 + "1", "(" * 5000 + "1" + ")" * 5000):
        with pytest.raises(Fault, match="too deeply"):
            ours(wrong)
    with pytest.raises(Fault, match="not valid HCL"):
        ours("[" * 5000)


def test_lines_are_those_of_the_file():
    text = 'variable "v" {\n  default = {\n    a = [\n      "x",\n      "y"\n    ]\n  }\n}\n'
    lines = literal(hcl.read(text, "v.tf")[0][0].attributes["default"], "v.tf").lines
    assert lines == {(): 2, ("a",): 3, ("a", 0): 4, ("a", 1): 5}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
KEY = st.one_of(st.from_regex(r"[a-z][a-z0-9_-]{0,6}", fullmatch=True), TEXT)
VALUE = st.recursive(
    st.one_of(TEXT, st.booleans(), st.none(), st.integers(0, 10**6)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEY, inner, max_size=3)),
    max_leaves=6,
)
STYLE = st.fixed_dictionaries(
    {
        "comma": st.sampled_from([", ", ",\n", " ,\n # , }\n"]),
        "pair": st.sampled_from([",", "\n", ", // }\n", ",\n/* { */"]),
        "sign": st.sampled_from([" = ", "=", ":", " : "]),
        "bare": st.booleans(),
        "last": st.booleans(),
    }
)


def written(value, style: dict) -> str:
    """A value in one of the ways that a person may write it."""
    if isinstance(value, str):
        plain = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
        text = "".join(
            plain.get(char, char if char.isprintable() else f"\\U{ord(char):08x}") for char in value
        )
        return '"' + text.replace("${", "$${").replace("%{", "%%{") + '"'
    if isinstance(value, list):
        items = [written(each, style) for each in value]
        return "[" + style["comma"].join(items) + ("," if items and style["last"] else "") + "]"
    if isinstance(value, dict):
        pairs = []
        for key, each in value.items():
            bare = (
                style["bare"] and key.isascii() and key[:1].isalpha() and key.replace("-", "_").isidentifier()
            )
            bare = bare and key not in ("true", "false", "null", "for")
            pairs.append((key if bare else written(key, style)) + style["sign"] + written(each, style))
        return "{" + style["pair"].join(pairs) + ("," if pairs and style["last"] else "") + "}"
    return json.dumps(value)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=[Phase.generate],  # to shrink one takes minutes, as each step asks Terraform
)
@given(st.lists(st.tuples(VALUE, STYLE), min_size=25, max_size=40))
def test_any_literal_is_what_terraform_reads(tmp_path, cases):
    texts = [written(value, style) for value, style in cases]
    try:
        read = [ours(text) for text in texts]
    except Fault as fault:  # two keys that are one to Terraform, which says nothing
        assert "is there twice" in str(fault)
        return
    assert read == terraform_of(tmp_path, texts)


def read(workload: str, config: str) -> maps.Maps:
    return maps.read(VARIABLES.format(workload=workload, config=config), "variables.tf")


def test_a_workspace():
    found = read(
        '{\n    dev = ["External-DNS", "cert-manager", "external_dns", "my-app"]\n  }',
        '{ dev = { kubernetes_context = "k8s-dev" } }',
    )
    workloads = ("externaldns", "cert_manager", "my_app")
    entry = {"kubernetes_context": "k8s-dev"}
    assert found == maps.Maps({"dev": maps.Workspace("dev", workloads, "k8s-dev", entry, 4)}, {})


@pytest.mark.parametrize(
    ("workload", "config", "line", "message"),
    [
        ('{ dev = ["a"] }', "{}", 3, "workload.dev: is in workload alone; add it to config"),
        ("{}", '{ dev = { kubernetes_context = "x" } }', 7, "config.dev: is in config alone"),
        ('{ dev = "a" }', '{ dev = { kubernetes_context = "x" } }', 3, 'must be a list, not "a"'),
        (
            "{ dev = [1] }",
            '{ dev = { kubernetes_context = "x" } }',
            3,
            "workload.dev.0: must be a text in quotes",
        ),
        ("{ dev = [] }", "{ dev = {} }", 7, "config.dev: kubernetes_context is missing"),
        ("{ dev = [] }", "{ dev = { kubernetes_context = null } }", 7, "kubernetes_context is missing"),
        ("[]", "{}", 3, "the default of workload is not a map"),
    ],
)
def test_maps_that_do_not_fit(workload, config, line, message):
    with pytest.raises(Fault) as fault:
        read(workload, config)
    assert message in str(fault.value) and fault.value.finding.line == line


def test_a_variable_is_there_once():
    text = VARIABLES.format(workload="{}", config="{}")
    for wrong, message in (
        (text + 'variable "config" {}\n', "a second variable config, also in line 5"),
        (text.replace('"charts"', '"chart"'), "has no variable charts"),
        (text.replace("  type    = map(list(string))\n", ""), "variable workload has no type"),
        (text.replace("map(list(string))", "map(tuple([string]))"), "is not a type that can be checked"),
    ):
        with pytest.raises(Fault, match=message.replace("(", r"\(")):
            maps.read(wrong, "variables.tf")


@pytest.mark.skipif(not (ROOT / "clusters").is_dir(), reason="clusters/ comes with another change")
def test_the_maps_of_the_project_are_what_terraform_reads(tmp_path):
    """With the example entries, which stand there as remarks."""
    text = re.sub(
        r"^    # (?!renovate)", "    ", (ROOT / "clusters/variables.tf").read_text(), flags=re.MULTILINE
    )
    (tmp_path / "variables.tf").write_text(text)
    found = maps.read(text, "variables.tf")
    workload, config, charts = console(tmp_path, ["var.workload", "var.config", "var.charts"])
    assert found.charts == charts and len(charts) >= 10
    assert found.workspaces.keys() == workload.keys() == config.keys() >= {"observability"}
    for name, workspace in found.workspaces.items():
        assert workspace.workloads == tuple(map(maps.normalised, workload[name]))
        assert workspace.config.items() <= config[name].items()
