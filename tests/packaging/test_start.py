"""Goal: who starts compose.yml gets a cluster that serves, is watched, and outlives a restart.

Method: its services run as processes of this machine, with the file's own commands, environment,
secrets, order and health checks (composed.py). What only an engine does is not shown by this:
building the image, a root that is read-only, users, networks.
"""
import shutil

import pytest
import requests

from composed import Composed
from harness import s3 as h
from harness.s3 import MIB
from harness.wait import until


@pytest.fixture
def composed(tmp_path):
    if not shutil.which("prometheus"):
        pytest.skip("no Prometheus (tests/install says why)")
    made = Composed(tmp_path / "composed")
    try:
        yield made
    except BaseException:
        print(made.logs())
        raise
    finally:
        made.close()


def everything_is_scraped(composed):
    answer = requests.get(composed.url("prometheus", 9090) + "/api/v1/query",
                          params={"query": "up == 1"}, timeout=10).json()
    jobs = [each["metric"]["job"] for each in answer["data"]["result"]]
    return sorted(jobs) == ["holdfast-gateway"] + ["holdfast-shard-node"] * 6


def test_services_start_serve_and_keep_what_they_were_given(composed):
    composed.start()
    s3 = composed.client()
    s3.create_bucket(Bucket="first")
    bodies = {"small": b"x", "large": h.body(3 * MIB)}
    for key, body in bodies.items():
        s3.put_object(Bucket="first", Key=key, Body=body)
    for key, body in bodies.items():
        assert h.get(s3, "first", key) == body
    until(lambda: everything_is_scraped(composed), 30, "Prometheus sees all seven processes")
    codes = composed.stop()
    assert set(codes.values()) == {0}, codes
    composed.start()
    for key, body in bodies.items():
        assert h.get(composed.client(), "first", key) == body


def test_a_gateway_without_its_nodes_is_not_healthy(composed):
    """The health check is one: it fails where it should."""
    gateway = composed.services["gateway"]
    gateway.start()
    until(lambda: requests.get(composed.url("gateway", 9001) + "/health/live", timeout=5).ok,
          30, "the gateway answers", ignore=(requests.ConnectionError,))
    assert not gateway.healthy()
    node = composed.services["shard-node-1"]
    node.start()
    until(lambda: "waiting for drives" in gateway.process.output(), 30, "it waits for drives")
    assert not gateway.healthy()
