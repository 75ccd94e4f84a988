"""Environments: built once for each commit with what the repository declares, shared, and never left half built."""

import asyncio
import base64
import hashlib
import subprocess
import zipfile

import pytest

from oet_kernel.scripts.environments import Environments
from oet_kernel.scripts.git import Checkout, ScriptSourceError
from oet_kernel.scripts.sharing import Shared

pytestmark = pytest.mark.anyio


def wheel(folder, name="oet_tiny"):
    """Make a wheel with one module, without a build tool."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    files = {
        f"{name}.py": "answer = 42\n",
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{name}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{file},sha256={digest},{len(text)}\n"
            archive.writestr(file, text)
        archive.writestr(f"{name}-1.0.dist-info/RECORD", record)
    return path


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "checkout-1"
    folder.mkdir()
    (folder / "requirements.txt").write_text(f"{wheel(tmp_path)}\n")
    return Checkout(folder, "a" * 40)


@pytest.fixture
def environments(tmp_path):
    return Environments(tmp_path / "environments", deadline=120)


def python(environment, code):
    return subprocess.run([environment.python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


async def test_requirements_are_installed_once_for_all_who_ask(environments, checkout):
    logs = [[] for _ in range(3)]
    done = await asyncio.gather(*(environments.build(checkout, log.append) for log in logs))
    assert len({environment.folder for environment in done}) == 1
    assert python(done[0], "import oet_tiny; print(oet_tiny.answer)") == "42"
    assert logs[0] == logs[1] == logs[2]
    assert sum("Building an environment" in line for line in logs[0]) == 1
    assert any("Successfully installed" in line for line in logs[0])
    again = []
    await environments.build(checkout, again.append)
    assert again == []


async def test_project_is_installed_with_what_it_depends_on(environments, tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "oet_tiny"\nversion = "1.0"\n'
    )
    made = wheel(tmp_path).read_bytes()
    (folder / "backend.py").write_text(
        "def build_wheel(folder, config_settings=None, metadata_directory=None):\n"
        f"    name = 'oet_tiny-1.0-py3-none-any.whl'\n    open(folder + '/' + name, 'wb').write({made!r})\n"
        "    return name\n"
    )
    environment = await environments.build(Checkout(folder, "b" * 40), lambda line: None)
    assert python(environment, "import oet_tiny; print(oet_tiny.answer)") == "42"


async def test_repository_that_declares_nothing_gets_an_empty_environment(environments, tmp_path):
    (tmp_path / "bare").mkdir()
    environment = await environments.build(Checkout(tmp_path / "bare", "c" * 40), lambda line: None)
    assert python(environment, "import sys; print(sys.prefix)") == str(environment.folder)


async def test_failure_has_the_tools_own_message_leaves_nothing_and_can_be_mended(environments, checkout, tmp_path):
    requirements = checkout.folder / "requirements.txt"
    good = requirements.read_text()
    requirements.write_text("/nowhere/nothing-1.0-py3-none-any.whl\n")
    with pytest.raises(ScriptSourceError, match=r"(?s)pip failed with exit code 1:.*nothing-1\.0"):
        await environments.build(checkout, lambda line: None)
    assert [path for path in environments.folder.glob("*") if path.is_dir()] == []
    requirements.write_text(good)
    assert (await environments.build(checkout, lambda line: None)).python.exists()


async def test_half_built_environment_is_built_anew(environments, checkout):
    broken = environments.folder / checkout.folder.name / "bin"
    broken.mkdir(parents=True)
    (broken / "python").write_text("not a python")
    assert python(await environments.build(checkout, lambda line: None), "print(1)") == "1"


async def test_deadline_ends_the_build_and_its_processes(checkout, tmp_path):
    environments = Environments(tmp_path / "environments", deadline=0.01)
    with pytest.raises(ScriptSourceError, match=r"not built within 0\.01 s"):
        await environments.build(checkout, lambda line: None)


# --- sharing


async def test_job_goes_on_while_one_waits_and_ends_with_the_last():
    shared = Shared()
    ended = asyncio.Event()

    async def job(tell):
        tell("begun")
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    logs = [], []
    waits = [asyncio.ensure_future(shared.get("k", job, log.append)) for log in logs]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert logs == (["begun"], ["begun"])
    waits[0].cancel()
    await asyncio.wait([waits[0]])
    assert not ended.is_set()
    waits[1].cancel()
    await asyncio.wait([waits[1]])
    assert ended.is_set()
    assert shared.keys == []


async def test_failed_job_fails_for_all_and_is_done_anew():
    shared = Shared()
    runs = []

    async def job(tell):
        runs.append(1)
        await asyncio.sleep(0)
        if len(runs) == 1:
            raise ValueError("once")
        return "done"

    failed = await asyncio.gather(*(shared.get("k", job, print) for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in failed] == ["once"] * 3
    assert await shared.get("k", job, print) == "done"
