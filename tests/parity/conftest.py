"""A service whose kernels are forked, and one whose kernels are started plainly: scripts behave the same in both."""

from collections.abc import Iterator

import pytest

from tests.conftest import Server, serve

pytest.register_assert_rewrite("tests.parity.both")


@pytest.fixture(scope="session", params=["forked", "plain"])
def side(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service in a process of its own."""
    options = ["--OetApp.exclusive=False", f"--OetApp.fork={request.param == 'forked'}"]
    with serve(tmp_path_factory.mktemp(f"side-{request.param}"), *options) as made:
        yield made
