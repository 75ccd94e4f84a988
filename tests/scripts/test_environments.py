"""Environments: built once for each commit with what the repository declares, shared, and never left half built."""

import asyncio
import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from oet_kernel.scripts.environments import BUILT, Environments
from oet_kernel.scripts.installers import uv
from oet_kernel.scripts.single_flight import Shared
from oet_kernel.scripts.tools import ScriptSourceError
from oet_kernel.system.processes import MARK
from tests.conftest import gone

pytestmark = pytest.mark.anyio


def wheel(folder, name="oet_tiny", requires=""):
    """Make a wheel with one module and a program, without a build tool."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    files = {
        f"{name}.py": "answer = 42\ndef main(): print(answer)\n",
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}",
        f"{name}-1.0.dist-info/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
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


BACKEND = """
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = 'oet_tiny-1.0-py3-none-any.whl'
    open(folder + '/' + name, 'wb').write({made!r})
    return name
def build_editable(folder, config_settings=None, metadata_directory=None):
    import os, zipfile
    name = 'oet_tiny-1.0-py3-none-any.whl'
    with zipfile.ZipFile(folder + '/' + name, 'w') as archive:
        archive.writestr('oet_tiny.pth', os.getcwd())
        archive.writestr('oet_tiny-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: oet_tiny\\nVersion: 1.0\\n')
        wheel = 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n'
        archive.writestr('oet_tiny-1.0.dist-info/WHEEL', wheel)
        archive.writestr('oet_tiny-1.0.dist-info/RECORD', '')
    return name
"""
BUILD_SYSTEM = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
PROJECT = '[project]\nname = "oet_tiny"\nversion = "1.0"\n'


@pytest.fixture(params=["pip", "uv"])
def environments(tmp_path, request):
    if request.param == "uv" and shutil.which("uv") is None:
        pytest.skip("uv is not installed")
    made = Environments(tmp_path / "environments", deadline=120, uv=request.param == "uv")
    made.installer = request.param
    return made


def sources(**files):
    """Write files, given as name with _ for the dot, where a commit's are to be."""

    async def write(folder, log):
        folder.mkdir()
        for name, text in files.items():
            path = folder / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


async def build(environments, log=lambda line: None, **files):
    return await environments.build("one", "a" * 40, sources(**files), log)


def python(environment, code):
    return subprocess.run([environment.python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


ANSWER = "import oet_tiny; print(oet_tiny.answer)"


async def test_requirements_are_installed_once_for_all_who_ask(environments, tmp_path):
    logs = [[] for _ in range(3)]
    files = {"requirements_txt": f"{wheel(tmp_path)}\n"}
    done = await asyncio.gather(*(build(environments, log.append, **files) for log in logs))
    assert len({environment.folder for environment in done}) == 1
    assert python(done[0], ANSWER) == "42"
    assert (done[0].folder / "bin" / "oet_tiny").exists()
    assert logs[0] == logs[1] == logs[2]
    assert sum("Building an environment" in line for line in logs[0]) == 1
    assert any("oet" in line.lower() and "tiny" in line for line in logs[0][1:])
    again = []
    await build(environments, again.append)
    assert again == []


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("requirements in several files", {"requirements_txt": "-r more.txt\n", "more_txt": "{wheel}\n"}),
        ("constraints", {"requirements_txt": "-c pins.txt\n{wheel}\n", "pins_txt": "oet_tiny==1.0\n"}),
        ("hashes", {"requirements_txt": "oet_tiny @ file://{wheel} --hash=sha256:{hash}\n"}),
        ("find-links", {"requirements_txt": "--no-index --find-links {folder}\noet_tiny==1.0\n"}),
        ("tools only, beside requirements", {"pyproject_toml": "[tool.black]\n", "requirements_txt": "{wheel}\n"}),
        ("a project", {"pyproject_toml": BUILD_SYSTEM + PROJECT, "backend_py": "{backend}"}),
        ("a build system without [project]", {"pyproject_toml": BUILD_SYSTEM, "backend_py": "{backend}"}),
        (
            "editable",
            {
                "requirements_txt": "-e ./sub\n", "sub__pyproject_toml": BUILD_SYSTEM + PROJECT,
                "sub__backend_py": "{backend}", "sub__oet_tiny.py": "answer = 42\n",
            },
        ),
        (
            "dependencies of what is no package",
            {
                "pyproject_toml": '[project]\nname = "scans"\nversion = "1"\ndependencies = ["oet_tiny @ file://{wheel}"]\n',
                "one_py": "", "two_py": "",
            },
        ),
    ],
)  # fmt: skip
async def test_what_repositories_declare_is_installed(environments, tmp_path, kind, files):
    made = wheel(tmp_path)
    values = {
        "{wheel}": str(made),
        "{folder}": str(tmp_path),
        "{hash}": hashlib.sha256(made.read_bytes()).hexdigest(),
        "{backend}": BACKEND.replace("{made!r}", repr(made.read_bytes())),
    }
    if environments.installer == "pip" and kind not in ("hashes", "a project", "editable") and shutil.which("uv"):
        pytest.skip("takes long, and is the same to pip")
    written = {}
    for name, text in files.items():
        written[name] = text
        for key, value in values.items():
            written[name] = written[name].replace(key, value)

    async def source(folder, log):
        await sources(**written)(folder, log)
        if kind == "editable":
            (folder / "sub" / "oet_tiny.py").write_text("answer = 42\n")

    environment = await environments.build("one", "b" * 40, source, lambda line: None)
    assert python(environment, ANSWER) == "42", kind


async def test_repository_that_declares_nothing_gets_an_empty_environment_and_is_told(environments):
    log = []
    environment = await build(environments, log.append, environment_yml="", pyproject_toml="[tool.x]\n")
    assert python(environment, "import sys; print(sys.prefix)") == str(environment.folder)
    assert any("Nothing is installed" in line and "environment.yml is not read" in line for line in log)


async def test_failure_has_the_tools_own_message_leaves_nothing_and_can_be_mended(environments, tmp_path):
    with pytest.raises(ScriptSourceError, match=r"(?s)(pip|uv) failed with exit code \d:.*nothing-1\.0"):
        await build(environments, requirements_txt="/nowhere/nothing-1.0-py3-none-any.whl\n")
    assert [path for path in environments.folder.glob("*") if path.is_dir()] == []
    assert (await build(environments, requirements_txt=f"{wheel(tmp_path)}\n")).python.exists()


async def test_error_is_shown_however_much_is_said_after_it_and_no_more_than_a_page(environments):
    noise = "import sys\nprint('error: the reason', file=sys.stderr)\nprint('x' * 5000, file=sys.stderr)\n"
    noise += "for n in range(500): print('line', n, file=sys.stderr)\nsys.exit(3)\n"
    with pytest.raises(ScriptSourceError, match="error: the reason") as caught:
        await build(environments, pyproject_toml=BUILD_SYSTEM + PROJECT, backend_py=noise)
    assert len(str(caught.value)) < 100_000


async def test_conflicting_requirements_are_said_in_the_tools_words(environments, tmp_path):
    one = wheel(tmp_path, "oet_one", "Requires-Dist: oet_tiny==1.0\n")
    other = wheel(tmp_path, "oet_other", "Requires-Dist: oet_tiny==2.0\n")
    text = f"--no-index\n--find-links {tmp_path}\n{one}\n{other}\n"
    wheel(tmp_path)
    with pytest.raises(ScriptSourceError, match=r"(?s)oet.(one|other).*oet.tiny"):
        await build(environments, requirements_txt=text)


async def test_python_that_does_not_fit_is_said_before_anything_is_installed(environments):
    with pytest.raises(ScriptSourceError, match=r"needs Python >=3\.99 .* runs on Python 3\.\d+"):
        await build(environments, pyproject_toml=PROJECT + 'requires-python = ">=3.99"\n')


async def test_credentials_of_an_index_are_not_repeated(environments):
    index = "--no-deps\n--index-url http://me:s3cr3t@127.0.0.1:1/simple\n"
    log = []
    environments._deadline = 20
    with pytest.raises(ScriptSourceError) as caught:
        await build(environments, log.append, requirements_txt=f"{index}https://me:s3cr3t@127.0.0.1:1/x-1.0.tar.gz\n")
    assert "s3cr3t" not in str(caught.value) + "".join(log)


async def test_file_that_is_no_toml_is_said(environments):
    with pytest.raises(ScriptSourceError, match=r"pyproject\.toml of the repository is not valid TOML"):
        await build(environments, pyproject_toml="[project\n")


async def test_half_built_environment_is_built_anew_and_who_builds_it_still_is_ended(environments, tmp_path):
    place = environments.folder / "one"
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").write_text("not a python")
    left = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(1000)"],
        env={**os.environ, MARK: str(place)}, stdout=subprocess.PIPE,
    )  # fmt: skip
    left.stdout.readline()
    environment = await build(environments, requirements_txt=f"{wheel(tmp_path)}\n")
    assert python(environment, ANSWER) == "42"
    assert await gone(left.pid)
    left.wait()
    left.stdout.close()


async def test_stop_ends_the_build_and_leaves_nothing(environments):
    begun = asyncio.Event()

    def log(line):
        if "Building" in line:
            begun.set()

    sleeps = "import time\nopen('../begun', 'w').close()\ntime.sleep(1000)\n"
    task = asyncio.ensure_future(build(environments, log, pyproject_toml=BUILD_SYSTEM + PROJECT, backend_py=sleeps))
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    assert [path for path in environments.folder.glob("*") if path.is_dir()] == []


async def test_deadline_ends_the_build_and_its_processes(environments):
    environments._deadline = 0.01
    with pytest.raises(ScriptSourceError, match=r"not built within 0\.01 s"):
        await build(environments)
    assert not (environments.folder / "one" / BUILT).exists()


async def test_pips_configuration_holds_for_uv_and_uvs_own_wins(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_CONSTRAINT", "mine.txt")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://a.org/simple\nconstraint = theirs.txt\n"
        "extra-index-url =\n    https://b.org/simple\n    https://c.org/simple\n"
        "[install]\nindex-url = https://d.org/simple\nfind-links = /x /y\n"
    )
    settings = await uv("uv", tmp_path).settings()
    assert settings.items() >= {
        "UV_DEFAULT_INDEX": "https://d.org/simple",
        "UV_INDEX": "https://b.org/simple https://c.org/simple",
        "UV_FIND_LINKS": "/x,/y",
        "UV_NO_INDEX": "1",
    }.items()  # fmt: skip
    assert "UV_CONSTRAINT" not in settings


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
