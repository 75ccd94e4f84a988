"""Roots are a boundary for git as well: a repository is allowed by its address, the beginning of it, or in a root."""

import pytest

from oet_kernel.errors import ScriptNotAllowed
from oet_kernel.models import GitArgs, GitScript
from oet_kernel.server.assembly import script_sources
from tests.conftest import settings


def admit(folder, repository, roots, repositories=()):
    sources = script_sources(settings(folder, scripts_roots=list(map(str, roots)), repositories=repositories))
    sources.admit(GitScript(script_uri="git://x.py", git_args=GitArgs(git_repo=repository)))


ALLOWED = ["https://example.org/team/", "git@example.org:one.git"]


@pytest.mark.parametrize(
    "repository",
    ["https://example.org/team/x.git", "https://u:p@example.org/team/a/b", "git@example.org:one.git", "{root}/r"],
)
def test_repository_that_the_operator_allows_is_taken(tmp_path, repository):
    admit(tmp_path, repository.format(root=tmp_path), [tmp_path], ALLOWED)


@pytest.mark.parametrize(
    "repository",
    [
        "https://example.org/teammate/x.git",
        "https://example.org/team/../other/x.git",
        "https://example.org/team/%2e%2e/other/x.git",
        "https://example.org.evil.example/team/x.git",
        "https://example.org/team@evil.example/x.git",
        "https://evil.example/https://example.org/team/x.git",
        "http://example.org/team/x.git",
        "git@example.org:two.git",
        "file:///etc",
        "/etc",
        "etc",
        "{root}/../x",
        "{root}/link/x",
        "file://{root}/%2e%2e/x",
    ],
)
def test_any_other_repository_is_refused(tmp_path, repository):
    (tmp_path / "link").symlink_to("/")
    with pytest.raises(ScriptNotAllowed, match="--repository"):
        admit(tmp_path, repository.format(root=tmp_path), [tmp_path], ALLOWED)


def test_any_repository_is_allowed_where_nothing_is_bounded(tmp_path):
    admit(tmp_path, "https://example.org/x.git", [])
