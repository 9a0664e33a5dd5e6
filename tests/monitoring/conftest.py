"""Fixtures of the monitoring suite: one cluster, watched by one Prometheus, for all tests."""
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from watched import Watched


@pytest.fixture(scope="session")
def watched():
    """The cluster after its faults; removed at the end, kept when HOLDFAST_TEST_KEEP is set."""
    assert shutil.which("prometheus"), "prometheus is not installed (tests/install says why)"
    path = Path(tempfile.mkdtemp(prefix="holdfast-tests-", dir=os.environ.get("HOLDFAST_TEST_TMP")))
    made = None
    try:
        made = Watched(path)
        yield made
    finally:
        if made:
            made.close()
        if not os.environ.get("HOLDFAST_TEST_KEEP"):
            shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def own_directory(tmp_path):
    """Where a test's own server keeps its data; removed with the test, for the disk's sake."""
    path = tmp_path / "own"
    yield path
    shutil.rmtree(path, ignore_errors=True)
