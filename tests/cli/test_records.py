"""``oet record`` writes the record of a run, and says where."""

import webbrowser

import nbformat
import pytest


@pytest.fixture
def run(served, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pid = served.create("def main(): print('ran')\n")
    served.until(pid, "READY")
    served.http.put(f"/procedures/{pid}", json={"state": "RUNNING"})
    served.until(pid)
    return pid


def test_record_is_written_here_and_its_name_is_printed(oet, run, tmp_path):
    assert oet("record", str(run)) == (0, f"procedure-{run}.ipynb\n", "")
    nbformat.validate(nbformat.read(tmp_path / f"procedure-{run}.ipynb", as_version=nbformat.NO_CONVERT))


def test_page_of_the_newest_goes_where_it_is_told_to(oet, run, tmp_path):
    said = f"[record of procedure {run}, the newest]\n"
    assert oet("record", "--html", "-o", "page.html") == (0, "page.html\n", said)
    assert f"<title>Procedure {run}</title>" in (tmp_path / "page.html").read_text()


def test_record_can_go_to_standard_output(oet, run):
    done = oet("record", str(run), "-o", "-")
    nbformat.reads(done.out, as_version=nbformat.NO_CONVERT)


@pytest.mark.parametrize("there", [True, False])
def test_page_is_opened_where_there_is_a_browser(oet, run, tmp_path, monkeypatch, there):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or there)
    done = oet("record", str(run), "--open")
    assert opened == [(tmp_path / f"procedure-{run}.html").as_uri()]
    assert done.out == f"procedure-{run}.html\n"
    assert ("No browser" in done.err) is not there


def test_json_names_the_file(oet, run):
    assert oet("record", str(run), "--json").out == f'{{"record":"procedure-{run}.ipynb"}}\n'


def test_what_cannot_be_done_is_said(oet, run):
    assert "No information available for PID=99999" in oet("record", "99999").err
    assert oet("record", "99999").status == 1
    done = oet("record", str(run), "-o", "none/x.ipynb")
    assert (done.status, done.out) == (1, "")
    assert "-o" in done.err
    assert oet("record", "--open", "-o", "-").status == 2
