"""Every path and dotted module of the package that a page names is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HISTORY = {ROOT / "CHANGELOG.md", *(ROOT / "docs" / "decisions").glob("*.md")}
"""Pages that tell of what was."""
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")} - HISTORY)
PATH = re.compile(r"(?<![\w/.])(?:oet_kernel|tests|scripts|extension|notebooks|docs)/[\w./-]*[\w/]")
MODULE = re.compile(r"\boet_kernel(?:\.\w+)+")
SHORT = re.compile(r"`((?:[a-z_]+/)+[\w-]+\.(?:py|yaml))`")
"""Path below the package, the tests or one of their folders."""
FILES = [path for folder in ("oet_kernel", "tests") for path in (ROOT / folder).rglob("*") if path.is_file()]


def is_there(path):
    return (ROOT / path).exists() or any(str(one).endswith(f"/{path}") for one in FILES)


def is_module(name):
    """Return whether a dotted name is a module, or a name in one."""
    parts = name.split(".")
    for count in (len(parts), len(parts) - 1, len(parts) - 2):
        path = ROOT.joinpath(*parts[:count])
        if count and (path.is_dir() or path.with_suffix(".py").is_file()):
            rest = parts[count:]
            text = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
            return not rest or re.search(rf"\b{rest[0]}\b", text) is not None
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_path_and_module_that_a_page_names_is_there(page):
    text = page.read_text()
    paths = {*PATH.findall(text), *SHORT.findall(text)}
    wrong = sorted(path for path in paths if not is_there(path.rstrip(".")))
    wrong += sorted(name for name in set(MODULE.findall(text)) if not is_module(name))
    assert not wrong
