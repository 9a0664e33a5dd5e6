"""Fixtures of the black-box suites: servers, clients, buckets and scratch space.

A session has one embedded cluster for everything that does not break it (`server`); a test that
breaks something starts its own (`embedded`, `cluster`). On failure the server's log is shown.
"""
import os
import re
import shutil
import tempfile
import uuid
from pathlib import Path

import pytest

from harness.server import DOMAIN, Cluster, Embedded, External

_LOG_LINES = 60


@pytest.fixture(scope="session")
def session_space():
    """A directory of this worker, removed at its end (kept when HOLDFAST_TEST_KEEP is set)."""
    path = Path(tempfile.mkdtemp(prefix="holdfast-tests-", dir=os.environ.get("HOLDFAST_TEST_TMP")))
    yield path
    if not os.environ.get("HOLDFAST_TEST_KEEP"):
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def space(session_space, request):
    """A directory of this test; removed when it ends, for the disk's sake."""
    name = re.sub(r"\W+", "-", request.node.name)[:60]
    path = session_space / f"{name}-{uuid.uuid4().hex[:6]}"
    path.mkdir()
    yield path
    if not os.environ.get("HOLDFAST_TEST_KEEP"):
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def server(session_space):
    """The session's S3 endpoint: an embedded cluster, or the one HOLDFAST_TEST_S3_URL names."""
    if os.environ.get("HOLDFAST_TEST_S3_URL"):
        made = External(session_space / "external")
    else:
        made = Embedded(session_space / "server", args=["--domain", DOMAIN])
    yield made
    made.close()


@pytest.fixture
def s3(server, request):
    request.node.servers = [server]
    return server.client()


def new_bucket(client, start="t"):
    name = f"{start}-{uuid.uuid4().hex[:16]}"
    client.create_bucket(Bucket=name)
    return name


@pytest.fixture
def bucket(s3):
    return new_bucket(s3)


@pytest.fixture
def own_server(space, request):
    """A factory: `own_server(Embedded, …)` or `own_server(Cluster, …)`, ended with the test."""
    if os.environ.get("HOLDFAST_TEST_S3_URL"):
        pytest.skip("starts processes of its own; HOLDFAST_TEST_S3_URL names another endpoint")
    made = []

    def make(kind, name="own", **options):
        made.append(kind(space / name, **options))
        return made[-1]

    request.node.servers = made
    yield make
    for each in made:
        each.close()


@pytest.fixture
def embedded(own_server):
    return own_server(Embedded)


@pytest.fixture
def cluster(own_server):
    return own_server(Cluster)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the last lines of its servers' logs."""
    report = (yield).get_result()
    if report.when == "call" and report.failed:
        for each in getattr(item, "servers", []):
            tail = "\n".join(each.logs().splitlines()[-_LOG_LINES:])
            report.sections.append((f"{each.form} log", tail))


def pytest_report_header(config):
    from harness.server import binary
    other = os.environ.get("HOLDFAST_TEST_S3_URL")
    return f"endpoint: {other} (not started here)" if other else f"binary: {binary()}"
