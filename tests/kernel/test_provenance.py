"""What is told of a script is what ran, and where."""

import hashlib
import platform
import subprocess
import sys
import types

import pytest

from oet_kernel.kernel.provenance import (
    SOURCE_LIMIT,
    commit_of,
    environment_facts,
    imported,
    script_facts,
    version_of,
)


def test_script_is_told_by_its_bytes(tmp_path):
    source = "# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1")
    facts = script_facts(tmp_path / "a.py", source)
    assert facts["sha256"] == hashlib.sha256(source).hexdigest()
    assert facts["source"] == source.decode("latin-1")


def test_script_that_python_cannot_decode_is_told_as_well_as_can_be(tmp_path):
    assert script_facts(tmp_path / "a.py", b"x = '\xff'\n")["source"] == "x = '\ufffd'\n"


def test_long_script_is_told_by_its_hash_alone(tmp_path):
    facts = script_facts(tmp_path / "a.py", b"#" * (SOURCE_LIMIT + 1))
    assert facts["source"] is None
    assert len(facts["sha256"]) == 64


def test_imports_are_found_wherever_they_stand_and_the_standard_library_is_left_out():
    source = (
        "import os, numpy.linalg as la\nfrom astropy.time import Time\nfrom . import sibling\n"
        "def f():\n    import yaml\n"
    )
    assert imported(source) == {"numpy", "astropy", "yaml"}


@pytest.mark.parametrize("source", ["def main(:\n", "\0", "(" * 5000])
def test_source_that_is_no_python_imports_nothing(source):
    assert imported(source) == set()


def test_version_is_the_modules_own_then_the_distributions_then_unknown(monkeypatch):
    module = types.ModuleType("mine")
    module.__version__ = "9.1"
    monkeypatch.setitem(sys.modules, "mine", module)
    assert version_of("mine") == "9.1"
    assert version_of("nbformat")
    assert version_of("nonsense_module") is None


def test_module_is_not_asked_for_what_it_makes_up(monkeypatch):
    class Odd(types.ModuleType):
        def __getattr__(self, name):
            raise AssertionError(name)

    monkeypatch.setitem(sys.modules, "odd_module", Odd("odd_module"))
    assert version_of("odd_module") is None


def test_environment_is_told():
    facts = environment_facts("import numpy\n")
    assert (facts["host"], facts["python"]) == (platform.node(), platform.python_version())
    assert list(facts["packages"]) == ["ipykernel", "IPython", "numpy"]
    assert facts["user"]


def git(folder, *words):
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.py").write_text("")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "x")
    return folder


@pytest.mark.parametrize("how", ["branch", "packed", "detached", "worktree"])
def test_commit_is_that_of_the_working_tree_around_the_script(repository, tmp_path, how):
    commit, place = git(repository, "rev-parse", "HEAD"), repository
    match how:
        case "packed":
            git(repository, "pack-refs", "--all")
        case "detached":
            git(repository, "checkout", "-q", "--detach")
        case "worktree":
            place = tmp_path / "other"
            git(repository, "worktree", "add", "-q", str(place), "-b", "other")
    assert commit_of(place / "deep" / "a.py") == commit


def test_there_is_no_commit_without_a_repository_or_in_a_broken_one(tmp_path):
    (tmp_path / ".git").mkdir()
    for head in ("ref: refs/heads/none", "nonsense", "\xff"):
        (tmp_path / ".git" / "HEAD").write_bytes(head.encode("latin-1"))
        assert commit_of(tmp_path / "a.py") is None
