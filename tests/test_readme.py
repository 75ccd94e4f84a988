"""What README and tutorial say to a newcomer works as it stands, in a home without anything."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import DEADLINE

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
TUTORIAL = (ROOT / "docs" / "tutorials" / "first-night.md").read_text()


def lines_of(text):
    """List the lines of its shell examples, without remarks."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


@pytest.fixture
def newcomer(tmp_path):
    """A home without anything, and the service of the first line; gives the environment and the server's address."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("OET_", "XDG_"))}
    environ |= {"HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    argv = ["oet", "serve", "--token=secret", "--port=0", "--OetApp.detach=False"]
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(argv, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        line = next((one for one in process.stdout if one.startswith("OET API at ")), "")
        assert line, (tmp_path / "log").read_text()
        yield environ, httpx.URL(line.removeprefix("OET API at ").strip())
    finally:
        process.terminate()
        process.wait(DEADLINE)
        process.stdout.close()


@pytest.mark.parametrize(
    ("text", "states"),
    [
        (README.partition("## One example")[2].partition("## Where to read on")[0], {"COMPLETE"}),
        (TUTORIAL, {"COMPLETE", "STOPPED"}),
    ],
    ids=["README", "tutorial"],
)
def test_each_line_of_its_examples_works_one_behind_the_other(newcomer, tmp_path, text, states):
    environ, url = newcomer
    lines = lines_of(text)
    assert lines[0] == "oet serve"
    assert {line.split()[0] for line in lines} <= {"oet", "curl"}
    with httpx.Client(base_url=url, headers={"Authorization": "token secret"}) as http:
        for line in lines[1:]:
            if line.startswith("oet start"):
                _wait_until_ready(http)
            own = line.replace("localhost:5000", f"{url.host}:{url.port}").replace("run.html", f"{tmp_path}/run.html")
            listens = own.startswith("curl -N")
            done = subprocess.run(
                ["sh", "-c", f"timeout 2 {own}" if listens else own],
                cwd=ROOT, env=environ, capture_output=True, text=True, timeout=DEADLINE, check=False,
            )  # fmt: skip
            assert done.returncode == (124 if listens else 0), f"{line}\n{done.stdout}\n{done.stderr}"
            assert "Unauthorized" not in done.stdout
        found = [one["state"] for one in http.get("procedures").json()["procedures"]]
    assert len(found) == 2
    assert set(found) <= states


def _wait_until_ready(http):
    """Wait as long as a newcomer takes to type the next line."""
    with http.stream("GET", "stream?after=0&topic=procedure.lifecycle.statechange", timeout=DEADLINE) as told:
        assert any('"READY"' in line for line in told.iter_lines())


def test_it_has_no_more_lines_than_somebody_reads():
    assert len(README.splitlines()) <= 120


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_each_page_that_it_names_is_there(link):
    assert (ROOT / link).exists()
