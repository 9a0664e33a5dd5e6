"""Goal: the rules are valid; each alert fires when it should and not when it nearly should, says
what about, and has a page that says what to do.

Method: promtool checks the files and evaluates each alert over the figures of cases.py.
"""
import json
import re
import shutil
import subprocess

import pytest

import rules
from cases import CASES
from harness.server import ROOT

ALERTS = rules.alerts()


def promtool(*args, cwd=None):
    assert shutil.which("promtool"), "promtool is not installed (tests/install says why)"
    done = subprocess.run(["promtool", *map(str, args)], cwd=cwd, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_configuration_and_rules():
    promtool("check", "config", rules.PROMETHEUS / "prometheus.yml")
    promtool("check", "rules", "--lint=all", "--lint-fatal", *rules.RULE_FILES)


def test_every_alert_has_a_case():
    assert sorted(ALERTS) == sorted(CASES)


def _labels(name, labels):
    """`ALERTS` as it stands when an alert fires."""
    severity = ALERTS[name]["labels"]["severity"]
    inside = {"alertname": name, "alertstate": "firing", "severity": severity, **labels}
    return "ALERTS{" + ",".join(f'{k}="{v}"' for k, v in inside.items()) + "}"


def _unit(case, series, expr, expected):
    return {"interval": f"{case.step}m",
            "input_series": [{"series": k, "values": v} for k, v in series.items()],
            "promql_expr_test": [{"expr": expr, "eval_time": f"{case.minutes}m",
                                  "exp_samples": expected}]}


@pytest.mark.parametrize("name", sorted(CASES))
def test_an_alert_fires_when_it_should_and_only_then(name, tmp_path):
    case, rule = CASES[name], ALERTS[name]
    for series in (case.fires, case.quiet):
        given = {entry.split("{")[0] for entry in series}
        assert given & rules.exported(rule["expr"]), "the case is about other metrics"
    expr = f'ALERTS{{alertname="{name}",alertstate="firing"}}'
    tests = [_unit(case, series, expr, [{"labels": _labels(name, labels), "value": 1}])
             for labels, series in ((case.labels, case.fires), *case.also)]
    tests.append(_unit(case, case.quiet, expr, []))
    document = {"rule_files": [str(path) for path in rules.RULE_FILES],
                "evaluation_interval": f"{case.step}m",
                "group_eval_order": [group["name"] for group in rules.groups()], "tests": tests}
    file = tmp_path / "case.yml"
    file.write_text(json.dumps(document))
    promtool("test", "rules", file)


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_says_what_about_and_where_to_read_on(name):
    rule, case = ALERTS[name], CASES[name]
    assert rule["labels"] in ({"severity": "warning"}, {"severity": "critical"})
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    known = {"severity", *case.labels}
    for text in rule["annotations"].values():
        used = set(re.findall(r"\$labels\.(\w+)", text))
        assert used <= known, f"{name} has no such labels: {used - known}"
    said = rule["annotations"]["summary"] + rule["annotations"]["description"]
    # An alert that is about one of several things names it.
    silent = [label for label in set(case.labels) - {"job", "cluster", "margin"}
              if f"$labels.{label}" not in said]
    assert silent == [], f"{name} does not say which {silent}"
    url = rule["annotations"]["runbook_url"]
    assert url == f"docs/operations/alerts/{rules.page_of(name)}"
    assert (ROOT / url).exists(), f"{url}: write it"


def test_every_page_is_about_an_alert():
    wanted = {rules.page_of(name) for name in ALERTS}
    assert {path.name for path in rules.PAGES.glob("*.md")} == wanted
    for name in ALERTS:
        lines = (rules.PAGES / rules.page_of(name)).read_text().splitlines()
        assert lines[0] == f"# {name}"
        for heading in ("## What it means", "## How to look", "## What to do"):
            assert heading in lines, f"{name}: {heading}"
    index = (ROOT / "docs" / "operations" / "monitoring.md").read_text()
    for name, rule in ALERTS.items():
        row = f"| [{name}](alerts/{rules.page_of(name)}) | {rule['labels']['severity']} |"
        assert row in index, f"docs/operations/monitoring.md has no row {row}"


def test_rules_name_metrics_that_are_documented():
    known = rules.documented() | {"up"}
    for group in rules.groups():
        for rule in group["rules"]:
            unknown = {name for name in rules.exported(rule["expr"])
                       if rules.family(name) not in known and not name.startswith("process_")}
            assert unknown == set(), f"{rule.get('alert', rule.get('record'))}: {unknown}"


def test_what_is_recorded_is_used():
    """A figure that nobody looks at costs time in each round."""
    used = [rule["expr"] for group in rules.groups() for rule in group["rules"]]
    for dashboard in rules.dashboards().values():
        used += [target["expr"] for panel in dashboard["panels"]
                 for target in panel.get("targets", [])]
    named = set().union(*(rules.names(expr) for expr in used))
    assert sorted(set(rules.recorded()) - named) == []
