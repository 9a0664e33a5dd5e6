"""What dashboards are made of: panels, rows, variables, in Grafana's JSON.

Owns: the JSON's form and the layout on Grafana's grid of 24 columns.
Leaves to others: what is shown (dashboards.py).
Always: the same input makes the same bytes; every panel has a unit and a description, every
target a legend.
"""

SCHEMA = 39
GRID = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

GREEN, YELLOW, ORANGE, RED, BLUE = "green", "yellow", "orange", "red", "blue"


def steps(base, *above):
    """Thresholds: a colour, and pairs of a value and the colour from there on."""
    return [{"color": base, "value": None},
            *({"color": color, "value": value} for value, color in above)]


# A count that should be 0.
NONE_IS_GOOD = steps(GREEN, (1, RED))
NONE_IS_BEST = steps(GREEN, (1, YELLOW))


def target(expr, legend, instant=False):
    """One expression and the name of its series."""
    made = {"datasource": DATASOURCE, "editorMode": "code", "expr": " ".join(expr.split()),
            "legendFormat": legend, "range": not instant}
    if instant:
        made["instant"] = True
    return made


class Panel:
    """A panel without its place: `columns` wide and `lines` high."""

    def __init__(self, kind, title, unit, about, targets, columns, lines, thresholds, options,
                 custom=None, low=None, high=None, decimals=None):
        self.columns, self.lines = columns, lines
        defaults = {"unit": unit, "custom": custom or {},
                    "thresholds": {"mode": "absolute", "steps": thresholds}}
        for name, value in (("min", low), ("max", high), ("decimals", decimals)):
            if value is not None:
                defaults[name] = value
        for place, each in enumerate(targets):
            each["refId"] = chr(ord("A") + place)
        self.json = {"type": kind, "title": title, "description": about,
                     "datasource": DATASOURCE, "targets": targets, "options": options,
                     "fieldConfig": {"defaults": defaults, "overrides": []}}


def stat(title, unit, about, expr, legend, columns=4, thresholds=None, **more):
    """One figure as of now; coloured by `thresholds`."""
    options = {"colorMode": "value" if thresholds else "none", "graphMode": "area",
               "justifyMode": "auto", "orientation": "auto", "textMode": "auto",
               "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    return Panel("stat", title, unit, about, [target(expr, legend)], columns, 4,
                 thresholds or steps(BLUE), options, **more)


def lines(title, unit, about, *targets, columns=8, height=8, stacked=False, thresholds=None,
          **more):
    """Figures over time: `targets` are pairs of an expression and a legend."""
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 25 if stacked else 8,
              "showPoints": "never", "spanNulls": False,
              "stacking": {"group": "A", "mode": "normal" if stacked else "none"},
              "thresholdsStyle": {"mode": "line" if thresholds else "off"}}
    options = {"legend": {"calcs": ["lastNotNull", "max"], "displayMode": "table",
                          "placement": "bottom", "showLegend": True},
               "tooltip": {"mode": "multi", "sort": "desc"}}
    more.setdefault("low", 0)
    return Panel("timeseries", title, unit, about, [target(*each) for each in targets], columns,
                 height, thresholds or steps(GREEN), options, custom, **more)


def bars(title, unit, about, expr, legend, columns=8, height=8, thresholds=None, **more):
    """One bar for each series, as of now."""
    options = {"displayMode": "gradient", "orientation": "horizontal", "showUnfilled": True,
               "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    more.setdefault("low", 0)
    return Panel("bargauge", title, unit, about, [target(expr, legend, instant=True)], columns,
                 height, thresholds or steps(BLUE), options, **more)


def place(rows):
    """The panels of `rows`, pairs of a title and panels, from left to right and top to bottom."""
    made, line, number = [], 0, 0
    for title, panels in rows:
        number += 1
        made.append({"id": number, "type": "row", "title": title, "collapsed": False,
                     "panels": [], "gridPos": {"h": 1, "w": GRID, "x": 0, "y": line}})
        line += 1
        column = height = 0
        for panel in panels:
            if column + panel.columns > GRID:
                line, column, height = line + height, 0, 0
            number += 1
            at = {"h": panel.lines, "w": panel.columns, "x": column, "y": line}
            made.append({"id": number, "gridPos": at, **panel.json})
            column, height = column + panel.columns, max(height, panel.lines)
        line += height
    return made


def variable(name, label, metric, of, matching=""):
    """A choice among the values of a metric's label; all of them to begin with."""
    query = f"label_values({metric}{matching}, {of})"
    return {"name": name, "label": label, "type": "query", "datasource": DATASOURCE,
            "definition": query, "query": {"query": query, "refId": name},
            "refresh": 2, "sort": 1, "multi": True, "includeAll": True, "allValue": ".*",
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
            "hide": 0, "regex": "", "skipUrlSync": False, "options": []}


def dashboard(uid, title, about, variables, rows):
    """A dashboard; `uid` never changes, so that links to it stay good."""
    source = {"name": "datasource", "label": "Data source", "type": "datasource",
              "query": "prometheus", "current": {}, "hide": 0, "includeAll": False,
              "multi": False, "options": [], "refresh": 1, "regex": "", "skipUrlSync": False}
    links = [{"title": "Holdfast", "type": "dashboards", "tags": ["holdfast"], "asDropdown": True,
              "includeVars": True, "keepTime": True, "icon": "external link", "url": "",
              "targetBlank": False, "tooltip": ""}]
    return {"uid": uid, "title": title, "description": about, "tags": ["holdfast"],
            "schemaVersion": SCHEMA, "version": 1, "editable": True, "graphTooltip": 1,
            "refresh": "30s", "time": {"from": "now-3h", "to": "now"}, "timezone": "",
            "timepicker": {}, "annotations": {"list": []}, "links": links,
            "templating": {"list": [source, *variables]}, "panels": place(rows)}
