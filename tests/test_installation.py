"""What an installation brings: the extension is on, the kernelspec is there, its kernel works for any client."""

import json
import os
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from jupyter_client.manager import AsyncKernelManager

from tests.conftest import DEADLINE

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def command(*words, **environment):
    done = subprocess.run(
        [BIN / words[0], *words[1:]],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,  # each imports half of Jupyter
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_wheel_holds_the_package_the_extension_and_the_kernelspec(tmp_path):
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(build, check=True, capture_output=True, timeout=100)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for expected in (
        "oet_kernel/server/handlers/openapi.yaml",
        "oet_kernel/server/handlers/asyncapi.yaml",
        ".data/data/etc/jupyter/jupyter_server_config.d/oet_kernel.json",
        ".data/data/share/jupyter/kernels/oet/kernel.json",
        ".dist-info/licenses/LICENSE",
    ):
        assert any(name.endswith(expected) for name in names), expected
    assert not [name for name in names if name.startswith(("tests", "docs", "notebooks"))]


def test_kernelspec_and_extension_are_there_after_an_installation():
    specs = json.loads(command("jupyter", "kernelspec", "list", "--json")[0])["kernelspecs"]
    assert specs["oet"]["spec"]["metadata"]["kernel_provisioner"]["provisioner_name"] == "oet-provisioner"
    out, err = command("jupyter", "server", "extension", "list")
    assert "oet_kernel" in out + err
    assert "oet_kernel enabled" in " ".join((out + err).replace("\x1b[32m", "").replace("\x1b[0m", "").split())


def test_jupyter_oet_is_the_same_command():
    assert "--scripts-root" in command("jupyter", "oet", "--help")[0]


@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore:The kernel manager's loop")
async def test_kernel_of_the_kernelspec_works_as_any_ipython_kernel_does(tmp_path):
    """As a notebook or a console uses it: output, results, errors, subprocesses, top-level await, events."""
    manager = AsyncKernelManager(kernel_name="oet")
    with open(tmp_path / "kernel.log", "w") as log:  # noqa: ASYNC230
        await manager.start_kernel(stdout=log, stderr=log, cwd=str(tmp_path))
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=DEADLINE)
        said = []

        async def run(code):
            said.clear()
            reply = await client.execute_interactive(
                code,
                timeout=DEADLINE,
                output_hook=lambda message: said.append((message["msg_type"], message["content"])),
            )
            return reply["content"]["status"]

        assert await run("print('hello'); 1 + 1") == "ok"
        assert ("stream", {"name": "stdout", "text": "hello\n"}) in said
        assert [content["data"]["text/plain"] for kind, content in said if kind == "execute_result"] == ["2"]
        assert await run("1 / 0") == "error"
        assert await run("from oet_kernel.api import publish\npublish('user.script.announce', msg='hi')") == "ok"
        assert await run("import asyncio\nawait asyncio.sleep(0)") == "ok"
        assert await run("import subprocess\nsubprocess.run(['echo', 'below'], check=True)") == "ok"
    finally:
        client.stop_channels()
        await manager.shutdown_kernel()
    assert not await manager.is_alive()


@contextmanager
def jupyter_server(folder):
    """Start a plain Jupyter server, which finds the extension by itself."""
    env = {
        **os.environ, "OET_STATE_DIR": str(folder / "state"), "OET_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_RUNTIME_DIR": str(folder / "jupyter"),
    }  # fmt: skip
    (folder / "jupyter").mkdir()
    argv = [
        BIN / "jupyter", "server", "--port=0", "--no-browser", "--allow-root", "--IdentityProvider.token=jupyters-own",
        "--ServerApp.base_url=/user/me/", f"--ServerApp.root_dir={folder}", "--OetApp.detach=False",
    ]  # fmt: skip
    with open(folder / "server.log", "w+") as log:
        process = subprocess.Popen(argv, env=env, stdout=log, stderr=subprocess.PIPE, text=True, cwd=folder)
        try:
            for line in process.stderr:
                if "/user/me/" in line and "http://127.0.0.1:" in line:
                    break
            else:
                raise AssertionError("Jupyter Server did not start")
            yield process, "http://127.0.0.1:" + line.split("http://127.0.0.1:")[1].split("/")[0]
        finally:
            process.terminate()
            _, rest = process.communicate(timeout=DEADLINE)
            assert "Traceback" not in rest, rest


def test_any_jupyter_server_serves_the_api_under_its_base_url_with_its_own_token(tmp_path):
    with jupyter_server(tmp_path) as (_, url):
        root = f"{url}/user/me/oet/api/v1.0"
        assert httpx.get(f"{root}/procedures").json()["type"] == "Forbidden"
        with httpx.Client(headers={"Authorization": "token jupyters-own"}) as http:
            assert http.get(f"{url}/user/me/api/v1.0/procedures").status_code == 404, "Jupyter's own place"
            assert http.get(f"{url}/user/me/api/status").json()["kernels"] == 0
            script = tmp_path / "script.py"
            script.write_text("def main(): pass\n")
            body = {"script": {"script_type": "filesystem", "script_uri": script.as_uri()}}
            one = http.post(f"{root}/procedures", json=body).json()["procedure"]
            assert one["uri"] == f"{root}/procedures/1"
            assert http.get(one["uri"]).json()["procedure"]["script"] == body["script"]
            assert http.get(f"{url}/user/me/api/kernels").json() == [], "procedures are not notebooks' kernels"
            assert http.get(f"{root}/nowhere").json()["type"] == "ResourceNotFound"
        environment = {"OET_RUNTIME_DIR": str(tmp_path / "runtime")}
        (found,) = json.loads(command("oet", "procedure", "list", "--json", **environment)[0])
        assert found["id"] == 1, "the command finds this server and its token"
