#!/usr/bin/env python3
"""Makes the dashboards: without arguments it writes dashboards/*.json, `--check` compares them.

Owns: which dashboards there are and in what order their panels stand.
Leaves to others: what a panel is (panels.py); the panels of S3 and drives (traffic.py, storage.py).
Always: needs Python and nothing else.
"""
import json
import sys
from pathlib import Path

import internals
import overview
import storage
import traffic

FOLDER = Path(__file__).resolve().parent / "dashboards"
DASHBOARDS = {
    "overview.json": overview.dashboard,
    "s3.json": traffic.dashboard,
    "drives.json": storage.dashboard,
    "internals.json": internals.dashboard,
}


def written(made):
    """A dashboard as it stands in its file."""
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def main(check):
    """Writes the files, or compares them; the exit code says whether they are as they should be."""
    FOLDER.mkdir(exist_ok=True)
    old = {path.name for path in FOLDER.glob("*.json")} - set(DASHBOARDS)
    for name, make in DASHBOARDS.items():
        path, text = FOLDER / name, written(make())
        if check and (not path.exists() or path.read_text() != text):
            old.add(name)
        elif not check:
            path.write_text(text)
    for name in sorted(old):
        print(f"dashboards/{name} is out of date: run compose/grafana/dashboards.py, and remove "
              "files that it does not make", file=sys.stderr)
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main(check=sys.argv[1:] == ["--check"]))
