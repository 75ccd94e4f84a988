"""Each shell line and each Python block of the how-to pages is tried, but for those that say why they cannot be."""

import shutil
import sys

import pytest

from tests.documents import LANGUAGES, ROOT, Newcomer, blocks

pytestmark = pytest.mark.timeout(600)  # a page has a dozen commands, each a process of its own
PAGES = sorted((ROOT / "docs" / "how-to").glob("*.md"))
BEGUN = ["oet create hello.py", "oet create hello.py", "oet create observe.py --sb=sbd-mid.json"]
"""Commands after which procedure 3, of which pages speak, is READY."""
GIVEN = {
    "listen": [*BEGUN, "oet start 3"],
    "look-inside": BEGUN,
    "notebook-procedures": [f"{sys.executable} -m bash_kernel.install --user"],
    "pause": [*BEGUN[:2], "oet create observe.py --sb=sbd-mid.json --speed=0.01", "oet start 3 --listen=False"],
    "records": [*BEGUN, "oet start 3"],
}
"""Commands that have been typed before a page is followed."""
OUTPUT = {"ini", "text", "{click}"}
"""Languages of blocks that show a file or an output."""


@pytest.fixture
def newcomer(tmp_path):
    """A newcomer with a running service, in a folder with the example scripts."""
    folder = tmp_path / "folder"
    shutil.copytree(ROOT / "notebooks" / "procedures", folder)
    with Newcomer(tmp_path, folder) as newcomer:
        newcomer.serve("oet serve")
        yield newcomer


@pytest.mark.parametrize(
    "path", [path for path in PAGES if any(one.language in LANGUAGES for one in blocks(path.read_text()))],
    ids=lambda path: path.stem,
)  # fmt: skip
def test_each_block_of_a_page_works_one_behind_the_other(newcomer, path):
    for command in GIVEN.get(path.stem, ()):
        newcomer.run(command)
    newcomer.try_page(path.read_text())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_each_block_is_tried_or_says_why_it_is_not_or_shows_an_output(path):
    for block in blocks(path.read_text()):
        assert block.language in LANGUAGES | OUTPUT, block
        assert block.language in LANGUAGES or block.reason is None, block


def test_page_with_a_command_that_fails_fails(tmp_path):
    with Newcomer(tmp_path, tmp_path) as newcomer, pytest.raises(AssertionError, match="no such command"):
        newcomer.try_page("```sh\necho no such command; false\n```\n")
