"""Records over real HTTP: types, names, errors, and no page that may act for its reader."""

import httpx
import nbformat
import pytest

from tests.conftest import serve

TEXT = "from oet_kernel.api import publish\ndef main(): print('ran'); publish('user.script.announce', msg='hello')\n"


@pytest.fixture(scope="module")
def run(server):
    pid = server.create(TEXT)
    server.until(pid, "READY")
    server.http.put(f"/procedures/{pid}", json={"state": "RUNNING"})
    server.until(pid)
    return pid


@pytest.mark.parametrize("query", ["", "?format=ipynb"])
def test_notebook_is_an_attachment_with_its_type(server, run, query):
    reply = server.http.get(f"/procedures/{run}/record{query}")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/x-ipynb+json"
    assert reply.headers["content-disposition"] == f'attachment; filename="procedure-{run}.ipynb"'
    notebook = nbformat.reads(reply.text, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert notebook.metadata.oet.procedure.state == "COMPLETE"
    assert notebook.cells[1].source == TEXT
    assert notebook.cells[2].outputs[0].text == "ran\n"
    assert "hello" in notebook.cells[3].source


def test_page_stands_alone_and_is_kept_from_acting_for_its_reader(server, run):
    reply = server.http.get(f"/procedures/{run}/record", params={"format": "html"})
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["content-disposition"] == f'attachment; filename="procedure-{run}.html"'
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'; ")
    assert "allow-" not in policy
    assert f"<title>Procedure {run}</title>" in reply.text


def test_record_of_one_that_waits_to_be_started_is_there(server):
    pid = server.create(TEXT)
    server.until(pid, "READY")
    notebook = nbformat.reads(server.http.get(f"/procedures/{pid}/record").text, as_version=nbformat.NO_CONVERT)
    assert [cell.id for cell in notebook.cells] == ["heading", "load", "events", "states"]
    server.http.put(f"/procedures/{pid}", json={"state": "STOPPED", "abort": False})


@pytest.mark.parametrize("number", ["0", "999999", "x", "1.0"])
def test_record_of_nothing_is_not_found(server, number):
    reply = server.http.get(f"/procedures/{number}/record")
    assert (reply.status_code, reply.json()["type"]) == (404, "ResourceNotFound")
    assert reply.json()["Message"] == f"No information available for PID={number}"


@pytest.mark.parametrize("kind", ["pdf", "", "HTML"])
def test_format_that_does_not_exist_is_refused_with_those_that_do(server, run, kind):
    reply = server.http.get(f"/procedures/{run}/record", params={"format": kind})
    assert reply.status_code == 400
    assert "ipynb, html" in reply.json()["Message"]


def test_record_is_for_who_knows_the_token(server, run):
    reply = httpx.get(f"{server.url}/procedures/{run}/record", headers={"Authorization": "token wrong"})
    assert reply.status_code == 403


def test_service_that_ends_leaves_the_records_of_what_was_said_until_then(tmp_path):
    with serve(tmp_path) as own:
        pid = own.create("print('loaded')\ndef main(): pass\n")
        own.until(pid, "READY")
    text = (tmp_path / "state" / "records" / f"{pid}.ipynb").read_text()
    notebook = nbformat.reads(text, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert notebook.cells[1].outputs[0].text == "loaded\n"


def test_record_is_completed_by_the_next_service_when_one_was_killed(tmp_path):
    """What was said after the last writing, and what is said while nobody listens, is in the file of the next."""
    with serve(tmp_path) as first:
        pid = first.create("print('loaded')\ndef main(): pass\n")
        first.until(pid, "READY")
        first.process.kill()
        first.process.wait()
    (tmp_path / "state" / "records" / f"{pid}.ipynb").unlink(missing_ok=True)
    with serve(tmp_path) as second:
        reply = second.http.get(f"/procedures/{pid}/record")
        second.http.put(f"/procedures/{pid}", json={"state": "STOPPED", "abort": False})
    text = (tmp_path / "state" / "records" / f"{pid}.ipynb").read_text()
    for one in (reply.text, text):
        notebook = nbformat.reads(one, as_version=nbformat.NO_CONVERT)
        nbformat.validate(notebook)
        assert notebook.cells[1].outputs[0].text == "loaded\n"
    assert notebook.metadata.oet.procedure.state == "STOPPED"
