"""The rules and dashboards that are shipped, as data."""
import json
import re

import yaml

from harness.server import ROOT

PROMETHEUS = ROOT / "compose" / "prometheus"
GRAFANA = ROOT / "compose" / "grafana"
RULE_FILES = sorted((PROMETHEUS / "rules").glob("*.yml"))
PAGES = ROOT / "docs" / "operations" / "alerts"

# A name of ours, of the process, or of a recording rule (level:metric:operation).
_NAME = re.compile(r"\b(?:(?:holdfast|process)_[a-z0-9_]+|[a-z_]+:holdfast_[a-z0-9_:]+|up)\b")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


def groups():
    """All groups of rules, in the order of the files: what is recorded first, then alerts."""
    found = []
    for path in sorted(RULE_FILES, key=lambda file: (file.stem != "recording", file.stem)):
        found += yaml.safe_load(path.read_text())["groups"]
    return found


def alerts():
    """The alerts by name."""
    return {rule["alert"]: rule for group in groups() for rule in group["rules"]
            if "alert" in rule}


def recorded():
    """What recording rules make: expressions by name."""
    return {rule["record"]: rule["expr"] for group in groups() for rule in group["rules"]
            if "record" in rule}


def names(expr):
    """The metrics that an expression names; what it names by a recording rule stays as it is."""
    return set(_NAME.findall(_QUOTED.sub('""', expr)))


def family(name):
    """The name under which a metric is documented: without what histograms add."""
    return re.sub(r"_(bucket|sum|count)$", "", name)


def exported(expr):
    """The metrics of processes that an expression needs, recording rules followed."""
    made, needed, todo = recorded(), set(), [expr]
    while todo:
        for name in names(todo.pop()):
            if name in made:
                todo.append(made[name])
            else:
                needed.add(name)
    return needed


def documented():
    """The metrics of docs/metrics.md."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    return set(re.findall(r"^\| `(holdfast_[a-z0-9_]+)`", page, re.M))


def dashboards():
    """The dashboards that are shipped, by file name."""
    return {path.name: json.loads(path.read_text())
            for path in sorted((GRAFANA / "dashboards").glob("*.json"))}


def page_of(alert):
    """The file name of an alert's page: HoldfastDriveDown has drive-down.md."""
    words = re.findall(r"[A-Z][a-z0-9]*", alert.removeprefix("Holdfast"))
    return "-".join(words).lower() + ".md"
