"""What README and tutorials say to a newcomer works as it stands, in a home without anything."""

import re
import shutil

import pytest
from nbclient.exceptions import CellExecutionError

from tests.documents import ROOT, Newcomer, blocks, commands

pytestmark = pytest.mark.timeout(600)  # a tour of all surfaces, on a machine that does other work too
README = (ROOT / "README.md").read_text()
EXAMPLES = README.partition("## One example")[2].partition("## Where to read on")[0]
TUTORIAL, TOUR = ((ROOT / "docs" / "tutorials" / f"{name}.md").read_text() for name in ("first-night", "tour"))


@pytest.fixture
def folder(tmp_path):
    """The folder in which a page is followed."""
    made = tmp_path / "folder"
    made.mkdir()
    return made


@pytest.fixture
def clone(folder):
    """What a clone of the repository has for its reader."""
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    return folder


@pytest.mark.parametrize(
    ("page", "states"),
    [(EXAMPLES, {"COMPLETE"}), (TUTORIAL, {"COMPLETE", "STOPPED"})],
    ids=["README", "tutorial"],
)
def test_each_example_works_in_a_clone_one_behind_the_other(clone, tmp_path, page, states):
    words = {command.split()[0] for one in blocks(page) if one.language == "sh" for command in commands(one)}
    assert words <= {"oet", "curl"}
    with Newcomer(tmp_path, clone) as newcomer:
        newcomer.try_page(page)
        assert set(newcomer.states()) <= states


def test_each_example_of_the_tour_works_in_an_empty_folder_one_behind_the_other(folder, tmp_path):
    with Newcomer(tmp_path, folder) as newcomer:
        newcomer.try_page(TOUR)
        assert set(newcomer.states()) == {"COMPLETE", "STOPPED", "READY"}


def test_example_of_the_client_ends_where_init_fails(clone, tmp_path):
    (example,) = [one.text for one in blocks(EXAMPLES) if "Client()" in one.text]
    (clone / "notebooks" / "procedures" / "sbd-mid.json").unlink()
    with Newcomer(tmp_path, clone) as newcomer:
        newcomer.serve("oet serve")
        with pytest.raises(CellExecutionError, match=r"ProcedureEnded.*sbd-mid"):
            newcomer.cell(example)


def test_it_has_no_more_lines_than_somebody_reads():
    assert len(README.splitlines()) <= 120


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_each_page_that_it_names_is_there(link):
    assert (ROOT / link).exists()
