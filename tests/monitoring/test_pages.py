"""Goal: who follows a page at three in the morning finds that its commands exist and its links lead
somewhere.

Method: commands in blocks fenced as `sh` are executed against the watched cluster, with what stands
in capitals filled in; commands within a sentence are held against `--help`.
"""
import os
import re
import shlex

import pytest
import requests

import rules
from harness.commands import run
from harness.server import ROOT, Embedded, binary

PAGES = sorted((ROOT / "docs" / "operations").rglob("*.md"))
OK, DEGRADED = 0, 3
SETTINGS = (ROOT / "docs" / "configuration.md").read_text()
# Words with a line between that are no settings: labels' values, fields of answers and of rules.
NO_SETTINGS = {"too_many", "timed_out", "held_back", "waiting_objects", "runbook_url",
               "alert_relabel_configs"}


def blocks(text):
    """The lines of all blocks fenced as `sh`."""
    return [line for block in re.findall(r"^```sh\n(.*?)^```", text, re.S | re.M)
            for line in block.splitlines() if line.strip()]


def inline(text):
    """Commands within sentences."""
    outside = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    return [code for code in re.findall(r"`([^`]+)`", " ".join(outside.split()))
            if code.startswith("holdfast ")]


COMMANDS = sorted({line for page in PAGES for line in blocks(page.read_text())})
MENTIONED = sorted({code for page in PAGES for code in inline(page.read_text())}
                   | {line for line in COMMANDS if line.startswith("holdfast ")})


def test_there_is_something_to_execute():
    assert len(COMMANDS) > 10 and len(MENTIONED) > len(COMMANDS) / 2
    assert any("drive replace" in each for each in MENTIONED)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs_as_written(watched, command):
    cluster = watched.cluster
    gateway = cluster.admin_url.split("//")[1]
    line = command.replace("GATEWAY:9001", gateway)
    line = line.replace("BUCKET/KEY", f"{watched.bucket}/large-1")
    assert not re.search(r"\b[A-Z]{4,}\b", line), f"{command}: nothing is known to fill in"
    path = f"{binary().parent}:{os.environ['PATH']}"
    env = {**cluster.environ(), "PATH": path}
    if binary().name != "holdfast":
        line = re.sub(r"^holdfast ", f"{shlex.quote(str(binary()))} ", line)
    done = run(["bash", "-c", f"set -o pipefail; {line}"], env, check=False)
    assert done.code in (OK, DEGRADED), done
    assert done.out.strip(), "it shows nothing"


@pytest.mark.parametrize("command", MENTIONED)
def test_a_command_that_is_mentioned_exists(command):
    words, flags = [], []
    for word in shlex.split(command)[1:]:
        if word.startswith("-"):
            flags.append(word)
        elif not flags and re.fullmatch(r"[a-z][a-z-]*", word):
            words.append(word)
    done = run([binary(), *words, "--help"], {}, check=False)
    assert done.code == 0, done
    for flag in flags:
        assert re.search(rf"(^|\s){flag}\b", done.out), f"{command}: no {flag}"
    assert ("Commands:" in done.out) == (words == []), f"{command} is not a whole command"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_names_are_right(page):
    text = page.read_text()
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("http") or (page.parent / link).exists(), f"{page}: {link}"
    for setting in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", text):
        known = f"`{setting}`" in SETTINGS or setting in NO_SETTINGS
        assert known, f"{page}: there is no setting `{setting}`"
    for alert in re.findall(r"\bHoldfast[A-Z]\w+", text):
        assert alert in rules.alerts(), f"{page}: there is no alert {alert}"
    titles = {each["title"] for each in rules.dashboards().values()}
    for dashboard in re.findall(r"(?<!\*)\*([a-zA-Z0-9 ]+)\*(?!\*)", text):
        assert f"Holdfast: {dashboard}" in titles, f"{page}: {dashboard}"


def test_a_page_behind_a_token_is_read_with_it(own_directory):
    """What monitoring.md says of `metrics_auth`."""
    token = "a-token-of-more-than-16-characters"
    server = Embedded(own_directory, args=["--metrics-auth", "true"],
                      env={"HOLDFAST_ADMIN_TOKEN": token})
    try:
        page = f"{server.admin_url}/metrics"
        assert requests.get(page, timeout=30).status_code in (401, 403)
        answer = requests.get(page, timeout=30, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200 and "holdfast_build_info" in answer.text
    finally:
        server.close()
