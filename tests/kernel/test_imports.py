"""What a kernel imports once its procedure is READY: nothing of the package.

A kernel outlives an upgrade in place; a module that it imported afterwards would be of another version than the rest.
"""

import json

import pytest

from tests.conftest import Server, serve
from tests.ipynb import notebook

BEGIN = """
import atexit, json, sys
from oet_kernel.api import checkpoint, publish

def own():
    return {name for name in sys.modules if name.startswith("oet_kernel")}

def init(path):
    global known
    known = own()
    atexit.register(lambda: open(path, "w").write(json.dumps(sorted(own() - known))))
"""
ENDS = {
    "it returns": "return 5",
    "it returns what is no JSON": "return object()",
    "it raises": "raise ValueError('x')",
    "it raises in a group": "raise ExceptionGroup('both', [ValueError('x'), KeyError('y')])",
    "it exits": "sys.exit(3)",
    "it is stopped": "import threading; threading.Event().wait()",
}
MAIN = """
def main():
    import logging
    logging.getLogger("scan").warning("logged")
    print("printed")
    print("wrong", file=sys.stderr)
    publish("user.script.announce", value={"nested": [1.5, None]})
    checkpoint("scan 1")
    print("passed", flush=True)
    END
"""


@pytest.fixture(scope="module", params=[True, False], ids=["forked", "plain"])
def service(request, tmp_path_factory):
    with serve(tmp_path_factory.mktemp("service"), f"--OetApp.fork={request.param}") as made:
        yield made


def reached(service: Server, pid: int, topic: str, word: str) -> None:
    """Wait for an event of a topic that has a word in it."""
    with service.http.stream("GET", f"/stream?after=0&topic={topic}&procedure={pid}") as told:
        assert any(word in line for line in told.iter_lines())


@pytest.mark.parametrize("kind", ["script", "notebook"])
@pytest.mark.parametrize("end", ENDS)
def test_kernel_imports_nothing_of_the_package_after_it_is_ready(service, tmp_path, kind, end):
    text, left = BEGIN + MAIN.replace("END", ENDS[end]), tmp_path / "imported.json"
    path = tmp_path / ("observe.ipynb" if kind == "notebook" else "observe.py")
    path.write_text(notebook(("", text)) if kind == "notebook" else text)
    script = {"script_type": "filesystem", "script_uri": path.as_uri()}
    body = {"script": script, "script_args": {"init": {"kwargs": {"path": str(left)}}}}
    pid = int(service.http.post("/procedures", json=body).json()["procedure"]["uri"].rsplit("/", 1)[1])
    assert service.until(pid, "READY")["state"] == "READY"
    service.http.post(f"/procedures/{pid}/pause").raise_for_status()
    service.http.put(f"/procedures/{pid}", json={"state": "RUNNING"}).raise_for_status()
    reached(service, pid, "procedure.lifecycle.paused", "scan 1")
    service.http.post(f"/procedures/{pid}/resume").raise_for_status()
    reached(service, pid, "procedure.output.stream", "passed")
    if end != "it is stopped":
        assert service.until(pid)["state"] in ("COMPLETE", "FAILED")
    # returns when the process has ended
    service.http.put(f"/procedures/{pid}", json={"state": "STOPPED", "abort": False}).raise_for_status()
    assert json.loads(left.read_text()) == []
