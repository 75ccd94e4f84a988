"""Scripts from git: the right commit, a checkout of its own for each procedure, and failures in git's own words."""

import asyncio
import base64
import functools
import hashlib
import http.server
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from git import Repo

from oet_kernel.errors import MalformedRequest
from oet_kernel.kernel.provenance import commit_of
from oet_kernel.models import GitArgs
from oet_kernel.scripts import git
from oet_kernel.scripts.addresses import parse
from oet_kernel.scripts.git import Checkout, GitScripts
from oet_kernel.scripts.tools import ScriptSourceError
from tests.scripts.conftest import Repository

pytestmark = pytest.mark.anyio


class Scripts(GitScripts):
    """With one word for what the service does in two steps."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "repositories", deadline=30)
        self.places = (folder / "checkouts" / str(number) for number in range(1000))
        self.lines: list[str] = []

    async def get(self, args: GitArgs) -> Checkout:
        version = await self.version(args, parse(args.git_repo), self.lines.append)
        return await self.checkout(version, next(self.places), self.lines.append)


@pytest.fixture
def scripts(tmp_path):
    return Scripts(tmp_path)


def args(repository, branch=None, commit=None):
    return GitArgs(git_repo=str(repository.folder), git_branch=branch, git_commit=commit)


async def test_default_branch_is_taken_and_followed(repository, scripts):
    first = await scripts.get(args(repository))
    assert (first.folder / "observe.py").read_text() == "x = 1\n"
    new = repository.commit(observe_py="x = 5\n")
    second = await scripts.get(args(repository))
    assert second.commit == new == commit_of(second.folder / "observe.py")
    assert (second.folder / "observe.py").read_text() == "x = 5\n"
    assert (first.folder / "observe.py").read_text() == "x = 1\n", "a checkout does not change under a running script"


async def test_script_that_asks_gitpython_for_its_commit_finds_it(repository, scripts):
    made = await scripts.get(args(repository))
    with Repo(made.folder / "observe.py", search_parent_directories=True) as found:
        assert (found.head.commit.hexsha, Path(found.working_dir)) == (made.commit, made.folder)
        assert not found.is_dirty(untracked_files=True)


async def test_another_default_branch_is_followed(repository, scripts):
    await scripts.get(args(repository))
    repository.git("checkout", "--quiet", "-b", "main")
    wanted = repository.commit(observe_py="x = 9\n")
    assert (await scripts.get(args(repository))).commit == wanted


async def test_forced_push_is_followed_and_the_old_commit_is_there_still(repository, scripts):
    old = repository.commit(observe_py="x = 5\n")
    await scripts.get(args(repository))
    repository.git("reset", "--quiet", "--hard", "HEAD~1")
    new = repository.commit(observe_py="x = 6\n")
    repository.git("reflog", "expire", "--expire=now", "--all")
    repository.git("gc", "--quiet", "--prune=now")
    assert (await scripts.get(args(repository))).commit == new
    assert (await scripts.get(args(repository, commit=old))).commit == old


async def test_commit_that_no_branch_holds_is_fetched_where_the_host_gives_it(repository, scripts):
    old = repository.commit(observe_py="x = 5\n")
    repository.git("reset", "--quiet", "--hard", "HEAD~1")
    assert (await scripts.get(GitArgs(git_repo=f"file://{repository.folder}", git_commit=old))).commit == old


async def test_commit_that_was_fetched_needs_no_host(repository, scripts, tmp_path):
    wanted = repository.git("rev-parse", "HEAD")
    await scripts.get(args(repository))
    repository.folder.rename(tmp_path / "away")
    assert (await scripts.get(args(repository, commit=wanted[:10]))).commit == wanted


@pytest.mark.parametrize(
    "name",
    ["other", "refs/heads/other", "heads/other", "light", "annotated", "refs/tags/annotated", "tags/light", "v/1.0"],
)
async def test_branches_and_tags_are_taken_by_name(repository, scripts, name):
    repository.git("checkout", "--quiet", "-b", "other")
    wanted = repository.commit(observe_py="x = 7\n")
    repository.git("tag", "light")
    repository.git("tag", "v/1.0")
    repository.git("tag", "-am", "x", "annotated")
    repository.git("checkout", "--quiet", "trunk")
    repository.commit(observe_py="x = 8\n")
    assert (await scripts.get(args(repository, name))).commit == wanted


async def test_tag_that_has_moved_is_followed(repository, scripts):
    repository.git("tag", "v1")
    await scripts.get(args(repository, "v1"))
    new = repository.commit(observe_py="x = 7\n")
    repository.git("tag", "--force", "v1")
    assert (await scripts.get(args(repository, "v1"))).commit == new


async def test_branch_wins_over_a_tag_of_its_name_and_the_log_says_so(repository, scripts):
    repository.git("tag", "both")
    repository.git("checkout", "--quiet", "-b", "both")
    wanted = repository.commit(observe_py="x = 7\n")
    assert (await scripts.get(args(repository, "both"))).commit == wanted
    assert any("refs/heads/both and refs/tags/both" in line for line in scripts.lines)


async def test_commit_wins_over_branch_and_may_be_short(repository, scripts):
    old = repository.git("rev-parse", "HEAD")
    repository.commit(observe_py="x = 7\n")
    assert (await scripts.get(args(repository, "trunk", old))).commit == old
    assert (await scripts.get(args(repository, None, old[:8].upper()))).commit == old
    assert (await scripts.get(args(repository, old[:8]))).commit == old, "in the place of a branch, too"


async def test_many_at_once_fetch_once_and_have_a_checkout_each(repository, scripts):
    done = await asyncio.gather(*(scripts.get(args(repository)) for _ in range(5)))
    assert len({checkout.folder for checkout in done}) == 5
    assert len(list(scripts.folder.iterdir())) == 1
    scripts.lines.clear()
    await scripts.get(args(repository))
    assert scripts.lines == [], "what is there is not fetched again"


async def test_what_one_writes_beside_its_script_is_in_no_other_checkout(repository, scripts):
    one = await scripts.get(args(repository))
    (one.folder / "observe.py").write_text("broken")
    (one.folder / "sub" / "deep.py").unlink()
    (one.folder / "left.csv").write_text("1,2")
    subprocess.run(  # noqa: ASYNC221
        ["git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qam", "x"], cwd=one.folder, check=True
    )
    other = await scripts.get(args(repository))
    assert (other.folder / "observe.py").read_text() == "x = 1\n"
    assert (other.folder / "sub" / "deep.py").exists()
    assert not (other.folder / "left.csv").exists()


async def test_files_are_as_they_were_committed(repository, scripts, monkeypatch, tmp_path):
    """Modes, links and line ends, whatever the configuration of the service's user says."""
    (tmp_path / "gitconfig").write_text(
        f"[core]\n\tautocrlf = true\n\thooksPath = {tmp_path}\n[submodule]\n\trecurse = true\n"
    )
    (tmp_path / "post-checkout").write_text("#!/bin/sh\ntouch hooked\n")
    (tmp_path / "post-checkout").chmod(0o755)
    (repository.folder / "run.sh").write_text("#!/bin/sh\n")
    (repository.folder / "run.sh").chmod(0o755)
    (repository.folder / "link.py").symlink_to("sub/deep.py")
    (repository.folder / "dos.txt").write_bytes(b"a\r\nb\n")
    repository.commit()
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))  # as where the service is started from a hook
    folder = (await scripts.get(args(repository))).folder
    assert os.access(folder / "run.sh", os.X_OK)
    assert os.readlink(folder / "link.py") == "sub/deep.py"
    assert (folder / "dos.txt").read_bytes() == b"a\r\nb\n"
    assert (folder / "observe.py").read_bytes() == b"x = 1\n"
    assert not (folder / "hooked").exists()


@pytest.mark.parametrize(
    ("branch", "commit", "says"),
    [
        ("nowhere", None, "has no branch or tag 'nowhere'; existing names: trunk, v1.0"),
        ("trunc", None, "has no branch or tag 'trunc'; similar names: trunk"),
        ("origin/trunk", None, "similar names: trunk"),
        ("1.0", None, "similar names: v1.0"),
        ("tree", None, "refs/tags/tree of .* is not a commit"),
        (None, "deadbeef", "has no commit deadbeef"),
        (None, "deadbeef" * 5, "has no commit deadbeef"),
    ],
)
async def test_unknown_version_is_said_with_what_is_near(repository, scripts, branch, commit, says):
    repository.git("tag", "v1.0")
    if branch == "tree":
        repository.git("tag", "tree", "HEAD^{tree}")
    with pytest.raises(ScriptSourceError, match=says):
        await scripts.get(args(repository, branch, commit))


async def test_short_hash_of_several_commits_is_said_with_all_of_them(repository, scripts):
    tree = repository.git("rev-parse", "HEAD^{tree}")
    made = {}
    for number in range(2000):  # four digits have 65,536 values
        text = f"tree {tree}\nauthor a <a@b> {number} +0000\ncommitter a <a@b> {number} +0000\n\nx\n"
        digest = hashlib.sha1(f"commit {len(text)}\0{text}".encode()).hexdigest()
        made.setdefault(digest[:4], []).append((digest, text))
    short, alike = next((short, found) for short, found in made.items() if len(found) > 1)
    for digest, text in alike[:2]:
        subprocess.run(  # noqa: ASYNC221
            ["git", "hash-object", "-t", "commit", "-w", "--stdin"],
            cwd=repository.folder, input=text.encode(), check=True, capture_output=True,
        )  # fmt: skip
        repository.git("branch", f"b{digest}", digest)
    with pytest.raises(ScriptSourceError, match=f"More than one commit of .* begins with {short}: ") as caught:
        await scripts.get(args(repository, commit=short))
    assert alike[0][0][:7] in str(caught.value)


async def test_missing_repository_is_said_in_gits_words(tmp_path, scripts):
    with pytest.raises(ScriptSourceError, match=r"git ls-remote failed for .*does not appear to be a git repository"):
        await scripts.get(GitArgs(git_repo=str(tmp_path / "none")))


async def test_empty_repository_is_said(tmp_path, scripts):
    (tmp_path / "empty").mkdir()
    Repository(tmp_path / "empty")
    with pytest.raises(ScriptSourceError, match="has no commits"):
        await scripts.get(GitArgs(git_repo=str(tmp_path / "empty")))


async def test_default_branch_that_is_gone_is_said(repository, scripts):
    repository.git("symbolic-ref", "HEAD", "refs/heads/gone")
    with pytest.raises(ScriptSourceError, match=r"has no default branch: .* name one of trunk"):
        await scripts.get(args(repository))


async def test_failure_can_be_tried_again(repository, scripts, tmp_path):
    folder = repository.folder
    hidden = folder.rename(tmp_path / "hidden")
    with pytest.raises(ScriptSourceError):
        await scripts.get(args(repository))
    hidden.rename(folder)
    assert (await scripts.get(args(repository))).folder.is_dir()


async def test_copy_that_was_left_locked_or_broken_is_made_anew(repository, scripts):
    await scripts.get(args(repository))
    (copy,) = scripts.folder.iterdir()
    (copy / "packed-refs.lock").touch()
    (copy / "refs" / "heads" / "trunk.lock").touch()
    new = repository.commit(observe_py="x = 5\n")
    assert (await scripts.get(args(repository))).commit == new
    assert list(scripts.folder.iterdir()) == [copy]


async def test_deadline_ends_git_and_is_said(repository, tmp_path):
    scripts = Scripts(tmp_path)
    scripts._git._deadline = 0.0
    with pytest.raises(ScriptSourceError, match="did not end within 0 s"):
        await scripts.get(args(repository))


# --- submodules


@pytest.fixture
def library(tmp_path):
    (tmp_path / "library").mkdir()
    made = Repository(tmp_path / "library")
    made.commit(helper_py="x = 'helper'\n")
    return made


def add_submodule(repository, url, path="library"):
    repository.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(url), path)
    return repository.commit()


@pytest.mark.parametrize("url", ["{folder}", "file://{folder}", "../library"])
async def test_submodule_is_checked_out_at_its_commit(repository, library, scripts, url):
    repository.git("config", "remote.origin.url", str(repository.folder))
    add_submodule(repository, url.format(folder=library.folder))
    library.commit(helper_py="x = 'later'\n")
    folder = (await scripts.get(args(repository))).folder
    assert (folder / "library" / "helper.py").read_text() == "x = 'helper'\n"


async def test_submodules_within_submodules_are_checked_out(repository, library, scripts, tmp_path):
    (tmp_path / "deep").mkdir()
    deep = Repository(tmp_path / "deep")
    deep.commit(deep_py="x = 'deep'\n")
    add_submodule(library, deep.folder, "in/deep")
    add_submodule(repository, library.folder)
    folder = (await scripts.get(args(repository))).folder
    assert (folder / "library" / "in" / "deep" / "deep.py").read_text() == "x = 'deep'\n"


async def test_submodule_that_is_not_to_be_checked_out_is_left_out(repository, library, scripts):
    add_submodule(repository, library.folder)
    repository.git("config", "--file", ".gitmodules", "submodule.library.update", "none")
    repository.commit()
    folder = (await scripts.get(args(repository))).folder
    assert list((folder / "library").iterdir()) == []
    assert any("is left out" in line for line in scripts.lines)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("/nowhere/at/all", "does not exist|does not appear"),
        ("ext::sh -c evil", "remote helpers"),
        ("--upload-pack=evil", "is not a repo"),
    ],
)
async def test_submodule_that_cannot_be_had_is_said(repository, library, scripts, url, says):
    add_submodule(repository, library.folder)
    repository.git("config", "--file", ".gitmodules", "submodule.library.url", url)
    repository.commit()
    with pytest.raises(ScriptSourceError, match=f"(?s)submodule library of .* is not checked out: .*({says})"):
        await scripts.get(args(repository))


# --- credentials


SECRET = "s3cr3t-t0ken"


@pytest.fixture
def host(repository, library, tmp_path):
    """Serves two repositories to whoever knows the password; its address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            given = self.headers.get("Authorization", "").removeprefix("Basic ")
            if base64.b64decode(given).decode() in (f"bot:{SECRET}", f"{SECRET}:"):
                super().do_GET()
                return
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    (tmp_path / "www").mkdir()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(tmp_path / "www"))
    )
    site = f"127.0.0.1:{server.server_port}"
    add_submodule(repository, library.folder)
    repository.git("config", "--file", ".gitmodules", "submodule.library.url", "../library.git")
    repository.commit()
    for one, name in ((repository, "scripts.git"), (library, "library.git")):
        one.git("clone", "--quiet", "--bare", ".", str(tmp_path / "www" / name))
        subprocess.run(["git", "update-server-info"], cwd=tmp_path / "www" / name, check=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield site
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("user", [f"bot:{SECRET}", SECRET, "bot:s3cr3t%2Dt0ken"])
async def test_credentials_are_used_for_submodules_too_and_on_no_command_line(
    host, scripts, monkeypatch, tmp_path, user
):
    """Git is a program that writes down how it and what it calls were called."""
    (tmp_path / "bin").mkdir()
    for program in ("git", "sh"):
        real = shutil.which(program)
        script = f'#!/bin/bash\nprintf "%s\\n" "$0 $*" >> {tmp_path}/commands\nexec {real} "$@"\n'
        (tmp_path / "bin" / program).write_text(script)
        (tmp_path / "bin" / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))
    checkout = await scripts.get(GitArgs(git_repo=f"http://{user}@{host}/scripts.git"))
    assert (checkout.folder / "library" / "helper.py").exists()
    written = [*scripts.folder.rglob("config"), *checkout.folder.rglob("config")]
    assert len(written) >= 4
    for path in (*written, tmp_path / "commands"):
        assert SECRET not in path.read_text()
    assert not (tmp_path / "trace").exists()
    assert not any(SECRET in line for line in scripts.lines)


async def test_credentials_are_kept_by_no_helper_of_the_users(host, scripts, monkeypatch, tmp_path):
    (tmp_path / "gitconfig").write_text(f"[credential]\n\thelper = store --file={tmp_path}/stored\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    await scripts.get(GitArgs(git_repo=f"http://bot:{SECRET}@{host}/scripts.git"))
    assert not (tmp_path / "stored").exists()


async def test_helper_of_the_users_is_asked_where_the_address_has_no_credentials(host, scripts, monkeypatch, tmp_path):
    (tmp_path / "stored").write_text(f"http://bot:{SECRET}@{host.replace(':', '%3a')}\n")
    (tmp_path / "gitconfig").write_text(f"[credential]\n\thelper = store --file={tmp_path}/stored\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    assert (await scripts.get(GitArgs(git_repo=f"http://{host}/scripts.git"))).folder.is_dir()


@pytest.mark.parametrize(
    "address",
    [
        "http://bot:{wrong}@{host}/scripts.git",
        "http://{wrong}@{host}/scripts.git",
        "http://bot:{wrong}@127.0.0.1:1/r.git",
        "http://127.0.0.1:1/r.git?private_token={wrong}",
        "bot:{wrong}@127.0.0.1:r.git",
        "ssh://bot:{wrong}@127.0.0.1:1/r.git",
    ],
)
async def test_credentials_are_not_repeated(host, scripts, monkeypatch, address):
    monkeypatch.setenv("GIT_SSH_COMMAND", "sh -c 'echo \"$@\" >&2; exit 1' ssh")
    with pytest.raises(ScriptSourceError) as caught:
        await scripts.get(GitArgs(git_repo=address.format(host=host, wrong="wr0ng-t0ken")))
    assert "wr0ng-t0ken" not in str(caught.value) + "".join(scripts.lines)
    assert "127.0.0.1" in str(caught.value)


# --- what is refused, and the script in the checkout


@pytest.mark.parametrize(
    ("uri", "given", "says"),
    [
        ("file:///x.py", {}, "Incorrect prefix for GitScript: file:///x.py"),
        ("git://", {}, "Incorrect prefix for GitScript"),
        ("git://../x.py", {}, "leads out of the repository"),
        ("git://a/%2e%2e/../x.py", {}, "leads out of the repository"),
        ("git://x.py", {"git_repo": "--upload-pack=evil"}, r"\$\.script\.git_args\.git_repo"),
        ("git://x.py", {"git_repo": ""}, r"\$\.script\.git_args\.git_repo"),
        ("git://x.py", {"git_repo": "ext::sh -c evil"}, "remote helpers"),
        ("git://x.py", {"git_branch": "-evil"}, r"\$\.script\.git_args\.git_branch"),
        ("git://x.py", {"git_commit": "HEAD"}, "is not a commit hash"),
        ("git://x.py", {"git_commit": "abc"}, "is not a commit hash"),
        ("git://x.py", {"git_commit": "v1.0"}, "a branch or a tag is given as git_branch"),
        ("git://x.py", {"git_branch": "main~1"}, "is not a branch or tag"),
        ("git://x.py", {"git_branch": "a b"}, "is not a branch or tag"),
        ("git://x.py", {"git_repo": "x" * 30_000}, "more than 2048 characters"),
        ("git://x.py", {"git_repo": "https://me:pw@h/a\nb"}, r"'https://\*\*\*@h/a\\nb' is not a repo"),
        ("git://x.py", {"git_repo": "https://***@h/a"}, "give the address with its credentials"),
        ("git://" + "x" * 5000, {}, "more than 4096 characters"),
    ],
)
async def test_what_git_could_misunderstand_is_refused_at_once(uri, given, says):
    with pytest.raises(MalformedRequest, match=says):
        git.check(uri, GitArgs(**{"git_repo": "https://example.org/r.git", **given}))


async def test_link_out_of_the_repository_is_not_followed(tmp_path):
    (tmp_path / "x.py").symlink_to("/etc/passwd")
    with pytest.raises(ScriptSourceError, match="by a symbolic link"):
        git.locate(Checkout(tmp_path, "0" * 40), "git://x.py")


async def test_script_is_found_in_its_folder(repository, scripts):
    checkout = await scripts.get(args(repository))
    assert git.locate(checkout, "git://sub/deep.py").read_text() == "x = 2\n"


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("deep.py", "similar files: sub/deep.py"),
        ("obserwe.py", "similar files: observe.py"),
        ("sub", ""),
        ("sub/none.txt", ""),
    ],
)
async def test_missing_script_is_said_with_what_is_near(repository, scripts, path, near):
    checkout = await scripts.get(args(repository))
    with pytest.raises(FileNotFoundError, match=f"{path} is not a file of commit {checkout.commit}.*{near}"):
        git.locate(checkout, f"git://{path}")


async def test_pointer_of_git_lfs_is_not_run(tmp_path):
    (tmp_path / "x.py").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(ScriptSourceError, match="kept by Git LFS, and git-lfs is not"):
        git.locate(Checkout(tmp_path, "0" * 40), "git://x.py")
