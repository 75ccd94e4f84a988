"""Windows and macOS: the client half finds no service there, and what needs Linux says so."""

import sys

import pytest

from oet_kernel import discovery, serve
from oet_kernel.cli.embedded import embedded_service
from oet_kernel.client import Client, ClientError


@pytest.fixture(params=["win32", "darwin"], autouse=True)
def elsewhere(request, monkeypatch):
    monkeypatch.setattr(sys, "platform", request.param)
    monkeypatch.delattr("os.uname")
    monkeypatch.delattr("os.getuid")
    monkeypatch.setenv("USERNAME", "ann")


def test_no_service_is_looked_for_where_none_can_run():
    assert discovery.find() == []
    with Client("http://127.0.0.1:9/api/v1.0") as client:
        assert client.address.token is None


def test_service_says_that_it_needs_linux(capsys):
    with pytest.raises(SystemExit) as end:
        serve.main(["--port=0"])
    assert end.value.code == 1
    assert "needs Linux" in capsys.readouterr().err
    with pytest.raises(ClientError, match="needs Linux"), embedded_service():
        pass
