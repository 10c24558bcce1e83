"""The commands that docs/install.md has for doing it by hand make the same as the script."""

import re
import shlex

from fleet.access import wanted
from fleet.access.wanted import TOKENS, USER, Grant
from fleet.paths import ROOT

PAGE = (ROOT / "docs/install.md").read_text().partition("## 2.")[0].replace("\\\n", " ")
COMMANDS = [shlex.split(line) for line in PAGE.splitlines() if line.strip().startswith("pveum ")]
PATHS = re.search(r"for path in (.*?);", PAGE)[1].split()


def options(words: list[str]) -> dict[str, str]:
    return {words[n]: words[n + 1] for n in range(0, len(words), 2)}


def test_the_roles():
    made = {
        words[3]: options(words[4:])["-privs"].split() for words in COMMANDS if words[1:3] == ["role", "add"]
    }
    assert {name: sorted(privileges) for name, privileges in made.items()} == {
        name: sorted(privileges) for name, privileges in wanted.ROLES.items()
    }


def test_the_user_and_its_tokens():
    assert [words[3:] for words in COMMANDS if words[1:3] == ["user", "add"]] == [[USER]]
    made = [words[4:] for words in COMMANDS if words[1:4] == ["user", "token", "add"]]
    assert made == [[USER, token.id] for token in TOKENS], "with privilege separation, which is the default"


def test_the_access_lists():
    given: dict[str, set[Grant]] = {}
    for words in COMMANDS:
        if words[1] == "acl":
            named = options(words[4:])
            for who in (*named["-user"].split(","), *named["-token"].split(",")):
                for path in PATHS if words[3] == "$path" else [words[3]]:
                    given.setdefault(who, set()).add(
                        Grant(path, named["-role"], named.get("-propagate", "1") == "1")
                    )
    assert given == {who: set(grants) for who, grants in wanted.grants().items()}
