"""Goal: the README's quick start works exactly as written, to its end: two drives deleted and the
file read back.

Method: its fenced `sh` commands are executed against the built binary in an empty directory, with
only the addresses replaced by free ones.
"""
import re
import shutil

import requests

from harness import readme
from harness.admin import Metrics
from harness.commands import run
from harness.ports import free_port
from harness.process import Process
from harness.server import ROOT, SMALL, binary
from harness.wait import until

BACKLOG = "holdfast_heal_backlog_objects"


def test_quick_start_has_the_promised_end():
    _, script = readme.commands((ROOT / "README.md").read_text())
    assert "aws " in script or "rclone " in script, "a real client is used"
    removed = set(re.findall(r"drives/(\d)", script)) or set(re.findall(r"[{,](\d)", script))
    assert re.search(r"\brm\b", script) and len(removed) == 2, "two drives are deleted"
    after = script[script.rindex("rm "):]
    assert re.search(r"s3 cp|s3api get|rclone|curl", after), "and the file is read back"


def test_quick_start_runs_as_written(space):
    arguments, script = readme.commands((ROOT / "README.md").read_text())
    for name in ("README.md", "LICENSE", "Cargo.toml", "Cargo.lock"):
        shutil.copy(ROOT / name, space / name)
    s3, admin = free_port(), free_port()
    env = {**SMALL, "HOLDFAST_LISTEN": f"127.0.0.1:{s3}",
           "HOLDFAST_ADMIN_LISTEN": f"127.0.0.1:{admin}"}
    server = Process("quick start", [binary(), *arguments], env, space / "server.log", cwd=space)
    try:
        server.wait_line("ready ", 60)
        printed = [line.strip() for line in server.output().splitlines()
                   if re.match(r"\s*export (AWS|HOLDFAST)_", line)]
        assert any("AWS_ENDPOINT_URL=" in line for line in printed), (
            "the server prints keys and endpoint as export lines to paste")
        whole = "\n".join(["set -euo pipefail", *printed, script])
        whole = re.sub(r"(127\.0\.0\.1|localhost):9000", f"127.0.0.1:{s3}", whole)
        whole = re.sub(r"(127\.0\.0\.1|localhost):9001", f"127.0.0.1:{admin}", whole)
        quiet = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
                 "AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": "",
                 "RCLONE_CONFIG": str(space / "rclone.conf")}
        run(["bash", "-c", whole], quiet, cwd=space)
        # Healed by itself, as the README says: the deleted drives are laid out anew.
        page = f"http://127.0.0.1:{admin}/metrics"
        removed = [space / "holdfast-data" / path for path in re.findall(r"drives/\d", script)]
        until(lambda: all(path.is_dir() for path in removed)
              and Metrics(requests.get(page, timeout=10).text).total(BACKLOG) == 0, 120,
              "the deleted drives are back and nothing waits for healing", pause=0.5)
        assert server.running()
    finally:
        if server.running():
            server.terminate()
