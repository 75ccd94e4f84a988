"""The ``oet`` command in this process, against a service of its own process."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from oet_kernel.cli.main import main


class Result(NamedTuple):
    """What a command line came to."""

    status: int
    out: str
    err: str


Oet = Callable[..., Result]


@pytest.fixture
def oet(capfd: pytest.CaptureFixture[str]) -> Oet:
    """Run a command line."""

    def run(*words: str) -> Result:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(words)
        out, err = capfd.readouterr()
        assert "Traceback" not in err or ended.value.code == 1
        return Result(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def served(server, monkeypatch):
    """The shared service, named in the environment as users do."""
    monkeypatch.setenv("OET_URL", server.url)
    monkeypatch.setenv("OET_TOKEN", server.token)
    return server
