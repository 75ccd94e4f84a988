"""A git repository on this machine."""

import subprocess
from pathlib import Path

import pytest


class Repository:
    """A repository with short words for what tests do to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch=trunk")
        self.git("config", "user.email", "test@example.org")
        self.git("config", "user.name", "Test")

    def git(self, *words: str) -> str:
        """Run git in it."""
        done = subprocess.run(["git", *words], cwd=self.folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, **files: str) -> str:
        """Commit files, given as name with _ for the dot; the hash."""
        for name, text in files.items():
            path = self.folder / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "--quiet", "--allow-empty", "-m", "x")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with a script."""
    folder = tmp_path / "repository"
    folder.mkdir()
    made = Repository(folder)
    made.commit(observe_py="x = 1\n", sub__deep_py="x = 2\n")
    return made
