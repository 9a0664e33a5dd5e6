"""Goal: the dashboards show something: every expression is valid, names metrics that exist, and has
data for a cluster to which everything happened that can be made to happen here.

Method: a real Prometheus with the shipped configuration scrapes a real cluster; every panel's
expression is asked of it, with Grafana's variables as Grafana fills them in.
"""
import re
import subprocess
import sys

import pytest

import rules
from harness.wait import until

# What cannot be made to happen here; by dashboard and title of the panel.
MAY_BE_EMPTY = {
    ("drives.json", "Full in"): "shows drives that fill; the tests' ones share a busy disk",
    ("drives.json", "Errors of the medium"): "a medium that fails cannot be had",
    ("internals.json", "Connections that failed"): "of its two series one needs a broken peer",
}
# Metrics that appear with their first count, which needs what cannot be had here.
NEVER_COUNTED = {"holdfast_drive_errors_total", "holdfast_rpc_connection_failures_total"}
# Those that Prometheus makes itself.
OWN = {"up", "ALERTS"}
UNITS = {"none", "short", "percentunit", "bytes", "Bps", "s", "reqps", "ops", "cps"}
UIDS = {"overview.json": "holdfast-overview", "s3.json": "holdfast-s3",
        "drives.json": "holdfast-drives", "internals.json": "holdfast-internals"}

DASHBOARDS = rules.dashboards()
PANELS = [pytest.param(file, panel, id=f"{file}-{panel['title']}")
          for file, dashboard in DASHBOARDS.items()
          for panel in dashboard["panels"] if panel["type"] != "row"]


def filled(text):
    """An expression with variables as they are when all is chosen."""
    made = text.replace("$__rate_interval", "10s")
    made = re.sub(r"\$(cluster|gateway|instance|drive)\b", ".*", made)
    assert "$" not in made, f"{text} has a variable that no dashboard has"
    return made


def test_the_files_are_what_the_code_makes():
    script = rules.GRAFANA / "dashboards.py"
    done = subprocess.run([sys.executable, script, "--check"], text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_identities_last():
    """Links to a dashboard name its uid, and links to a panel its number."""
    assert {file: each["uid"] for file, each in DASHBOARDS.items()} == UIDS
    for file, dashboard in DASHBOARDS.items():
        numbers = [panel["id"] for panel in dashboard["panels"]]
        assert numbers == list(range(1, len(numbers) + 1)), file
        titles = [panel["title"] for panel in dashboard["panels"]]
        assert len(titles) == len(set(titles)), f"{file}: two panels have one title"


@pytest.mark.parametrize("file", sorted(DASHBOARDS))
def test_panels_lie_side_by_side(file):
    taken = {}
    for panel in DASHBOARDS[file]["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                other = taken.setdefault((x, y), panel["title"])
                assert other == panel["title"], f"{panel['title']} lies on {other}"


@pytest.mark.parametrize("file, panel", PANELS)
def test_a_panel_says_what_it_shows(file, panel):
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["description"].endswith("."), "what is it about?"
    assert panel["datasource"]["uid"] == "${datasource}"
    variables = {each["name"] for each in DASHBOARDS[file]["templating"]["list"]}
    assert "datasource" in variables
    for target in panel["targets"]:
        assert target["legendFormat"], "a series without a name"
        assert target["datasource"]["uid"] == "${datasource}"
        used = set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval"}
        assert used <= variables, f"{used - variables}: the dashboard has no such variable"


def test_the_lists_of_exceptions_are_about_what_there_is():
    known = {(param.values[0], param.values[1]["title"]) for param in PANELS}
    assert set(MAY_BE_EMPTY) <= known
    assert NEVER_COUNTED <= rules.documented()


# -- beside a real cluster

@pytest.mark.parametrize("file, panel", PANELS)
def test_a_panel_has_data(watched, file, panel):
    names = watched.prometheus.names() | OWN | NEVER_COUNTED
    for target in panel["targets"]:
        expr = filled(target["expr"])
        unknown = {name for name in rules.exported(expr)
                   if name not in names and rules.family(name) not in NEVER_COUNTED}
        assert unknown == set(), f"the cluster never exported {unknown}"
        found = watched.prometheus.query(expr)
        if not found and (file, panel["title"]) not in MAY_BE_EMPTY:
            found = until(lambda: watched.prometheus.query(expr), 20, f"{expr} has data", pause=1)
        # What the legend names is there: else all series would have the same name.
        for labels in set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])):
            assert all(series.get(labels) for series, _ in found), f"no {labels} in {found[:2]}"
        names_of_series = [tuple(series.get(label) for label in
                                 re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
                           for series, _ in found]
        assert len(names_of_series) == len(set(names_of_series)), "two series have one name"


@pytest.mark.parametrize("file", sorted(DASHBOARDS))
def test_variables_have_values(watched, file):
    for variable in DASHBOARDS[file]["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((.*), (\w+)\)",
                                         variable["query"]["query"]).groups()
            found = watched.prometheus.query(f"count by ({label}) ({filled(metric)})")
            assert found and all(series[label] for series, _ in found), variable["name"]


def test_what_is_documented_is_exported(watched):
    """docs/metrics.md promises nothing that a cluster does not show."""
    names = {rules.family(name) for name in watched.prometheus.names()}
    assert rules.documented() - names - NEVER_COUNTED == set()


def test_rules_are_evaluated_without_errors(watched):
    found = [rule for group in watched.prometheus.get("rules")["groups"]
             for rule in group["rules"]]
    assert len(found) == len(rules.alerts()) + len(rules.recorded())
    assert [rule for rule in found if rule["health"] != "ok"] == []


def test_what_is_recorded_has_data(watched):
    empty = [name for name in rules.recorded() if not watched.prometheus.query(name)]
    assert empty == []


def test_a_healthy_cluster_alerts_nobody(watched):
    assert watched.healthy == []


def test_faults_are_told_as_they_are(watched):
    """Alerts that wait for nothing: they fired, and their words are whole."""
    firing = {each["labels"]["alertname"]: each
              for each in watched.prometheus.get("alerts")["alerts"] if each["state"] == "firing"}
    assert set(firing) >= {
        "HoldfastDriveCorruption", "HoldfastScrubErrors", "HoldfastEventsDropped"}
    for name, alert in firing.items():
        for text in alert["annotations"].values():
            assert "<no value>" not in text and "<error expanding" not in text, name
    damaged, = [drive for drive in watched.cluster.admin.json("GET", "/admin/v1/drives")["drives"]
                if drive["directory"].endswith("node-0")]
    about = firing["HoldfastDriveCorruption"]
    assert about["labels"]["drive"] == damaged["drive"]
    assert damaged["drive"] in about["annotations"]["description"]
