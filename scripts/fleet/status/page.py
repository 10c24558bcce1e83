"""The status page: one file that needs nothing from elsewhere and sends nothing anywhere."""

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PAGE = Path(__file__).with_name("page.html")


def headline(facts: Mapping[str, Any]) -> str:
    """The one line that is read at seven in the morning."""
    need = [one["name"] for one in facts["machines"] if one["needs"]]
    wait = sum(one["stage"].startswith("made, waits") for one in facts["machines"])
    parts = []
    if need:
        named = ", ".join(need[:5]) + (f" and {len(need) - 5} more" if len(need) > 5 else "")
        parts.append(f"{len(need)} {'needs' if len(need) == 1 else 'need'} somebody: {named}")
    if facts["unknown"]:
        parts.append(f"{len(facts['unknown'])} could not be looked at")
    if wait:
        parts.append(f"{wait} {'waits' if wait == 1 else 'wait'} for a playbook")
    many = len(facts["machines"])
    return "; ".join(parts) or f"All is well: {many} machine{'' if many == 1 else 's'}"


def page(facts: Mapping[str, Any]) -> str:
    """The HTML. Names are put in as text by the page's own script, and in the JSON no `<` stands as itself."""
    data = json.dumps(facts, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    text = _PAGE.read_text("utf-8")
    return text.replace("HEADLINE", html.escape(headline(facts))).replace('"FACTS"', data)
