"""The clients of other languages: which are installed, and why one is not.

`tests/install` builds those that take long only when HOLDFAST_TEST_SDKS is `all`, which
`tests/run --sdks` sets. A client that is not there is a visible skip; one that was asked for and
is not there is a failure.
"""
import os
import shutil
from pathlib import Path

import pytest

ALL = "all"


def cache():
    """Where tests/install puts what it builds."""
    from .server import ROOT
    return Path(os.environ.get("HOLDFAST_TEST_CACHE", ROOT / ".cache"))


def all_wanted():
    return os.environ.get("HOLDFAST_TEST_SDKS", "") == ALL


def needed(command, what):
    """The path of a client that every run has; skips where tests/install could not get it."""
    found = shutil.which(command)
    if not found:
        pytest.skip(f"no {what} here: see what tests/install says of `{command}`")
    return found


def needed_by_flag(path, what):
    """The path of a client that only `tests/run --sdks` installs."""
    if not all_wanted():
        pytest.skip(f"{what} takes long to install: `tests/run --sdks --only sdks` includes it")
    assert Path(path).exists(), f"{path} is missing: tests/install did not make {what}"
    return path
