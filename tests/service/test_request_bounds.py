"""Requests that are too large for the service, its store or a kernel are refused, and the error names the place."""

import pytest
from msgspec.structs import replace

from oet_kernel.bounds import ARGUMENT_BYTES, NAME_CHARACTERS, REPOSITORY_CHARACTERS, REQUEST_DEPTH, URI_CHARACTERS
from oet_kernel.errors import BodyTooLarge, MalformedRequest
from oet_kernel.models import FileSystemScript, GitArgs, GitScript, ProcedureInput
from oet_kernel.service.request_bounds import check_arguments, check_script

FILE = FileSystemScript(script_uri="file:///x.py")
GIT = GitScript(script_uri="git:///x.py", git_args=GitArgs(git_repo="https://host/x.git"))


def nested(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


def of_git(**changes):
    return replace(GIT, git_args=replace(GIT.git_args, **changes))


@pytest.mark.parametrize(
    ("script", "where"),
    [
        (replace(FILE, script_uri="file:///" + "x" * URI_CHARACTERS), "script_uri"),
        (replace(FILE, kernel="x" * (NAME_CHARACTERS + 1)), "kernel"),
        (replace(FILE, working_folder="/" * (URI_CHARACTERS + 1)), "working_folder"),
        (of_git(git_repo="x" * (REPOSITORY_CHARACTERS + 1)), "git_args.git_repo"),
        (of_git(git_branch="x" * (NAME_CHARACTERS + 1)), "git_args.git_branch"),
        (of_git(git_commit="x" * (NAME_CHARACTERS + 1)), "git_args.git_commit"),
    ],
)
def test_text_that_is_too_long_is_refused_by_its_place(script, where):
    with pytest.raises(MalformedRequest, match=rf"^\$\.script\.{where}: a text "):
        check_script(script)


def test_script_with_texts_of_the_allowed_length_is_accepted():
    check_script(replace(of_git(git_branch="x" * NAME_CHARACTERS), kernel="x" * NAME_CHARACTERS))


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (nested(REQUEST_DEPTH), MalformedRequest),
        (nested(100_000), MalformedRequest),
        ("x" * ARGUMENT_BYTES, BodyTooLarge),
    ],
)
def test_arguments_that_nest_too_deeply_or_are_too_large_are_refused_by_their_function(value, error):
    with pytest.raises(error, match=r"^\$\.script_args\.main"):
        check_arguments("main", ProcedureInput([value]))


def test_arguments_within_the_bounds_are_accepted():
    check_arguments("main", ProcedureInput([nested(REQUEST_DEPTH - 10), "x" * (ARGUMENT_BYTES // 2)]))
