"""Fetches scripts and notebooks that others have published, and the packages that they import."""

import hashlib
import io
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import httpx
from filelock import FileLock
from pip._internal.models.index import PyPI  # the index that pip uses where nobody says another

LIST = tomllib.loads(Path(__file__).with_name("public.toml").read_text())
_JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}
FILTER = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""Of what is unpacked; Python 3.11.2, of Debian 12, has none."""


def source(folder: Path, package: str, version: str) -> Path:
    """Fetch and unpack the source distribution of a package, once for all who share the folder; its root."""
    target = folder / f"{package}-{version}"
    with FileLock(f"{target}.lock"):
        if not target.exists():
            listed = httpx.get(f"{_index()}/{package}/", headers=_JSON, follow_redirects=True, timeout=60)
            names = {f"{name}-{version}.tar.gz".lower() for name in (package, package.replace("-", "_"))}
            (found,) = (file for file in listed.json()["files"] if file["filename"].lower() in names)
            data = httpx.get(found["url"], follow_redirects=True, timeout=120).content
            assert hashlib.sha256(data).hexdigest() == found["hashes"]["sha256"]
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                archive.extractall(f"{target}.new", **FILTER)
            Path(f"{target}.new").rename(target)
    (root,) = target.iterdir()
    return root


def _index() -> str:
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True
    )
    return (asked.stdout.strip() if asked.returncode == 0 else PyPI.simple_url).rstrip("/")


def libraries(folder: Path) -> Path:
    """Install what the scripts import, without what the packages of the tests bring; the folder to import from."""
    needs = sorted({need for kind in LIST.values() for one in kind for need in one.get("needs", [])})
    return install(folder / "libraries", "--no-deps", *needs)


def install(target: Path, *words: str) -> Path:
    """Install packages into a folder to import from, once for all who share it.

    Parameters
    ----------
    target
        The folder; it is returned.
    words
        Requirements, and options of pip.
    """
    with FileLock(f"{target}.lock"):
        if not target.exists():
            argv = [sys.executable, "-m", "pip", "install", "--quiet", "--target", f"{target}.new"]
            subprocess.run([*argv, "--disable-pip-version-check", *words], check=True)
            Path(f"{target}.new").rename(target)
    return target


def scripts() -> dict[str, dict[str, Any]]:
    """Return the scripts by the package and the path of each."""
    return {f"{one['package']} {one['path']}": one for one in LIST["script"]}


def notebooks() -> dict[str, tuple[str, str, str]]:
    """Return package, version and path of each notebook."""
    return {
        f"{one['package']} {path}": (one["package"], one["version"], path)
        for one in LIST["notebook"]
        for path in one["paths"]
    }
