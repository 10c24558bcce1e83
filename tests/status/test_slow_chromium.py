"""The status page in a real browser. Chromium's DevTools protocol clicks, types and looks."""

import asyncio
import json
import subprocess
import time
import urllib.request
from pathlib import Path

import aiohttp
import pytest

from fleet.ansible.queue import Entry
from fleet.status.page import page
from lab import packages
from tests.status.test_page import fleet, told

# No sandbox for root; none of the browser's own connections.
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
           "--disable-component-update", "--disable-sync", "--remote-debugging-port=0")  # fmt: skip
NAMES = "[...document.querySelectorAll('#machines td.name')].map(cell => cell.textContent)"
HEAD = "[...document.querySelectorAll('#machines th button')].find(one => one.textContent === 'Machine')"
SEARCH = "(text => {{ const box = document.getElementById('search'); box.value = text; box.oninput() }})({})"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where Chromium listens, with the page of 50 machines open."""
    packages.install([("chromium", "chromium", "opens the status page in a test")])
    home = tmp_path_factory.mktemp("chromium")
    base = fleet(50)
    queue = (Entry("10.0.0.5", "haproxy-4", "haproxy"),)
    facts = told(fleet(50, queue=queue, guests=base.guests[:48]))
    (home / "index.html").write_text(page(facts))
    argv = ["chromium", *OPTIONS, f"--user-data-dir={home / 'profile'}", (home / "index.html").as_uri()]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
        try:
            yield _opened(home / "profile/DevToolsActivePort")
        finally:
            browser.terminate()


def _opened(file: Path) -> str:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if file.exists() and (port := file.read_text().partition("\n")[0]):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=10) as answer:
                pages = [one for one in json.load(answer) if one["url"].endswith("/index.html")]
            if pages and evaluated(pages[0]["webSocketDebuggerUrl"], "document.readyState") == ["complete"]:
                return pages[0]["webSocketDebuggerUrl"]
        time.sleep(0.1)
    pytest.fail("Chromium did not start")


def evaluated(address: str, *steps: str) -> list:
    """What each expression gives, one after the other in the same page. A fault of the page's script fails the test."""

    async def ask() -> list:
        found = []
        async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
            for number, step in enumerate(steps):
                given = {"expression": step, "returnByValue": True}
                await socket.send_json({"id": number, "method": "Runtime.evaluate", "params": given})
                while (answer := await socket.receive_json()).get("id") != number:
                    pass
                assert "exceptionDetails" not in answer["result"], answer
                found.append(answer["result"]["result"].get("value"))
        return found

    return asyncio.run(ask())


def test_the_facts_are_on_the_page(address):
    line, names, share, outside = evaluated(
        address,
        "document.getElementById('headline').textContent",
        NAMES,
        "document.querySelector('#room .bar i + i').style.width",
        "performance.getEntriesByType('resource').map(one => one.name)",
    )
    assert line == "2 need somebody: haproxy-48, haproxy-49; 1 waits for a playbook"
    assert names[:3] == ["haproxy-48", "haproxy-49", "haproxy-4"] and len(names) == 50
    assert share == "50%"
    assert [one for one in outside if not one.startswith("data:")] == []


def test_a_click_on_a_head_sorts_and_a_second_one_turns_it_round(address):
    up, down = evaluated(address, f"{HEAD}.click(), {NAMES}", f"{HEAD}.click(), {NAMES}")
    assert up == [f"haproxy-{n}" for n in range(50)]  # as numbers: 2 before 10
    assert down == up[::-1]


def test_a_search_shows_what_has_all_its_words(address):
    one, none, again = evaluated(
        address,
        f"{SEARCH.format(json.dumps('waits haproxy'))}, {NAMES}",
        f"{SEARCH.format(json.dumps('nothing like it'))}, {NAMES}",
        f"{SEARCH.format(json.dumps(''))}, {NAMES}.length",
    )
    assert (one, none, again) == (["haproxy-4"], [], 50)


def test_it_fits_a_phone_and_follows_the_dark(address):
    async def narrow() -> list:
        async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
            dark = [{"name": "prefers-color-scheme", "value": "dark"}]
            size = {"width": 375, "height": 800, "deviceScaleFactor": 1, "mobile": True}
            asked = "[document.documentElement.scrollWidth, getComputedStyle(document.body).backgroundColor]"
            for number, (method, given) in enumerate(
                [
                    ("Emulation.setDeviceMetricsOverride", size),
                    ("Emulation.setEmulatedMedia", {"features": dark}),
                    ("Runtime.evaluate", {"expression": asked, "returnByValue": True}),
                ]
            ):
                await socket.send_json({"id": number, "method": method, "params": given})
                while (answer := await socket.receive_json()).get("id") != number:
                    pass
            return answer["result"]["result"]["value"]

    width, background = asyncio.run(narrow())
    assert width <= 375
    assert max(int(part) for part in background.removeprefix("rgb(").rstrip(")").split(",")) < 60
