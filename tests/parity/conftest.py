"""A service whose kernels are forked, and one whose kernels are started plainly: scripts behave the same in both."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Server, serve

pytest.register_assert_rewrite("tests.parity.both")


@pytest.fixture(scope="session", params=["forked", "plain"])
def side(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service in a process of its own."""
    options = ["--OetApp.exclusive=False", f"--OetApp.fork={request.param == 'forked'}"]
    with serve(tmp_path_factory.mktemp(f"side-{request.param}"), *options) as made:
        yield made


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of a test run share, for what is fetched."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "published"
    folder.mkdir(exist_ok=True)
    return folder
