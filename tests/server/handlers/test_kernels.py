"""``/procedures/<id>/kernel`` over the wire."""

import httpx
import pytest

from oet_kernel.client import ApiError, AsyncClient, Client
from oet_kernel.models import USER, Connection
from tests.conftest import DEADLINE
from tests.guests import attached

IDLE = "def init(**kwargs): pass\ndef main(): pass\n"


@pytest.fixture
def ready(server):
    pid = server.create(IDLE, subarray_id=8300)
    server.until(pid, "READY")
    yield pid
    server.http.put(f"/procedures/{pid}", json={"state": "STOPPED"})


def test_connection_of_a_ready_procedure_is_that_of_a_guest(server, ready):
    kernel = server.http.get(f"/procedures/{ready}/kernel").json()["kernel"]
    assert (kernel["procedure"], kernel["state"]) == (ready, "READY")
    assert (kernel["control"], kernel["kept_until"]) == (None, None)
    with attached(Connection(**kernel["connection"])) as guest:
        assert guest.execute("1")["ename"] == "ReadOnly"


def test_key_is_kept_out_of_caches(server, ready):
    assert server.http.get(f"/procedures/{ready}/kernel").headers["Cache-Control"] == "no-store"


def test_control_is_taken_in_the_name_that_the_client_gives_and_given_back(server, ready):
    path, take = f"/procedures/{ready}/kernel", {"control": True}
    taken = server.http.put(path, json=take, headers={USER: "%20ali%C3%A7e%0A@dish7"})
    assert taken.json()["kernel"]["control"] == "aliçe @dish7"
    other = server.http.put(path, json=take, headers={USER: "bob"})
    assert (other.status_code, other.json()["type"]) == (409, "ControlTaken")
    assert f"oet attach {ready} --release" in other.json()["Message"]
    released = server.http.put(f"/procedures/{ready}/kernel", json={"control": False})
    assert released.json()["kernel"]["control"] is None


@pytest.mark.parametrize("body", [{}, {"control": "yes"}, {"control": 3}, []])
def test_body_that_says_something_else_is_refused(server, ready, body):
    reply = server.http.put(f"/procedures/{ready}/kernel", json=body)
    assert (reply.status_code, reply.json()["type"]) == (400, "Malformed Request")


@pytest.mark.parametrize("pid", ["999999", "x"])
def test_unknown_procedure_has_no_kernel(server, pid):
    for reply in (
        server.http.get(f"/procedures/{pid}/kernel"),
        server.http.put(f"/procedures/{pid}/kernel", json={"control": True}),
    ):
        assert reply.status_code == 404
        assert reply.json()["Message"] == f"No information available for PID={pid}"


def test_procedure_that_has_ended_has_no_kernel(server, ready):
    server.http.put(f"/procedures/{ready}", json={"state": "STOPPED"})
    reply = server.http.get(f"/procedures/{ready}/kernel")
    assert (reply.status_code, reply.json()["type"]) == (409, "NoKernel")
    assert "STOPPED" in reply.json()["Message"]


def test_failed_procedure_has_a_kernel_until_it_is_stopped(server):
    pid = server.create("def init(**kwargs): 1 / 0\ndef main(): pass\n", subarray_id=8301)
    assert server.until(pid)["state"] == "FAILED"
    kernel = server.http.get(f"/procedures/{pid}/kernel").json()["kernel"]
    assert kernel["kept_until"] > 0
    reply = server.http.put(f"/procedures/{pid}", json={"state": "STOPPED"})
    assert reply.json() == {"abort_message": f"Cannot stop script with ID {pid}: Script is not running"}
    assert server.http.get(f"/procedures/{pid}/kernel").status_code == 409


def test_nothing_is_told_without_a_token(server, ready):
    for method in ("GET", "PUT"):
        reply = httpx.request(method, f"{server.url}/procedures/{ready}/kernel", timeout=DEADLINE)  # no cookie either
        assert reply.status_code == 403
        assert "key" not in reply.text


def test_client_asks_for_kernel_and_control(server, ready):
    with Client(server.url, server.token, timeout=DEADLINE, user="alice") as client:
        assert client.kernel(ready).control is None
        assert client.control(ready).control == "alice"
        assert client.control(ready, False).control is None
        with pytest.raises(ApiError):
            client.kernel(999999)


@pytest.mark.anyio
async def test_async_client_does_the_same(server, ready):
    async with AsyncClient(server.url, server.token, timeout=DEADLINE, user="alice") as client:
        assert (await client.control(ready)).control == "alice"
        assert (await client.kernel(ready)).control == "alice"
        assert (await client.control(ready, False)).control is None
