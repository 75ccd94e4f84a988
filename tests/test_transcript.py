"""The transcript of the API in the documentation is what curl and the service say to each other."""

import os
import re
import subprocess
from pathlib import Path

from tests.conftest import serve

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs/reference/transcript.md"
SCRIPT = ROOT / "notebooks/procedures/hello.py"
TIME = re.compile(r"\b\d{10}\.\d+")


class Transcript:
    """Runs commands as somebody at a shell would, and keeps both sides."""

    def __init__(self, server):
        self.server = server
        self.lines = []

    def tell(self, text):
        self.lines += [text, ""]

    def environment(self):
        return {**os.environ, "OET": self.server.url, "TOKEN": self.server.token, "SCRIPT": SCRIPT.as_uri()}

    def curl(self, *words):
        """Run one request, and keep it with its answer."""
        command = 'curl -s -H "Authorization: token $TOKEN" ' + " ".join(words)
        done = subprocess.run(
            ["bash", "-c", command], env=self.environment(), capture_output=True, text=True, timeout=60, check=True
        )
        self.lines += ["```console", f"$ {command}", done.stdout.strip(), "```", ""]

    def listen(self, query):
        """Begin to listen, as in a second terminal."""
        command = f'curl -sN -H "Authorization: token $TOKEN" "$OET/stream?{query}"'
        listener = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], env=self.environment(), stdout=subprocess.PIPE, text=True
        )
        assert listener.stdout.readline() == "\n", "the stream answers at once"
        self.heard = ["```console", f"$ {command}"]
        return listener

    def hear(self, listener, state):
        """Keep what is heard up to a state."""
        for line in listener.stdout:
            self.heard.append(line.rstrip("\n"))
            if f'"new_state":"{state}"' in line:
                return
        raise AssertionError(f"{state} was not heard")

    def text(self):
        text = "\n".join(self.lines).replace(self.server.url.removesuffix("/api/v1.0"), "http://localhost:5000")
        return TIME.sub("1601463545.57", text.replace(SCRIPT.parent.as_uri(), "file:///scripts")) + "\n"


def test_the_transcript_of_the_documentation_is_what_happens(tmp_path):
    with serve(tmp_path) as server:
        script = Transcript(server)
        script.tell("# The API by curl: create, start, stop, stream")
        script.tell(
            "This page is written by a test from what a service answers; ports, paths and times are made equal. "
            "The script is `notebooks/procedures/hello.py`, and a service runs:"
        )
        script.lines += ["```console", "$ oet serve --token $TOKEN", "OET API at http://localhost:5000/api/v1.0/"]
        script.lines += ["$ OET=http://localhost:5000/api/v1.0", f"$ SCRIPT={SCRIPT.as_uri()}", "```", ""]
        listener = script.listen("exclude=request,procedure.script,procedure.environment")
        try:
            script.tell("Create a procedure; the answer does not wait for the script to be ready.")
            script.curl(
                "$OET/procedures -H 'Content-Type: application/json' -d '"
                '{"script": {"script_type": "filesystem", "script_uri": "\'$SCRIPT\'"},'
                ' "script_args": {"init": {"kwargs": {"subarray_id": 2}}}}\''
            )
            script.hear(listener, "READY")
            script.tell("It is READY: `init` was called with subarray 2.")
            script.curl("$OET/procedures/1")
            script.tell("Start it.")
            script.curl(
                "$OET/procedures/1 -X PUT -H 'Content-Type: application/json' -d '"
                '{"state": "RUNNING", "script_args": {"main": {"args": ["telescope"]}}}\''
            )
            script.hear(listener, "COMPLETE")
            script.tell("Prepare another, and stop it.")
            script.curl(
                "$OET/procedures -H 'Content-Type: application/json' -d '"
                '{"script": {"script_type": "filesystem", "script_uri": "\'$SCRIPT\'"}}\''
            )
            script.hear(listener, "READY")
            script.curl(
                "$OET/procedures/2 -X PUT -H 'Content-Type: application/json' -d '"
                '{"state": "STOPPED", "abort": false}\''
            )
            script.hear(listener, "STOPPED")
            script.tell("What is asked for wrongly is answered with what to do.")
            script.curl("$OET/procedures/7")
            script.curl("$OET/procedures/1 -X PUT -H 'Content-Type: application/json' -d '{\"state\": 3}'")
        finally:
            listener.terminate()
            listener.wait(20)
            listener.stdout.close()
        script.tell("Meanwhile, in a second terminal:")
        script.lines += [*script.heard, "```"]
    text = script.text()
    if os.environ.get("OET_UPDATE_DOCS"):
        DOCUMENT.write_text(text)
    assert DOCUMENT.read_text() == text, "run with OET_UPDATE_DOCS=1 to write it anew, and read the change"
