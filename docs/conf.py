"""Configuration of the documentation site: ``sphinx-build -W docs build/docs``; works offline."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from oet_kernel._version import __version__

project = "oet-kernel"
author = copyright = "the oet-kernel developers"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click", "reference_pages"]
myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 3
smartquotes = False  # --option must stay two hyphens
html_theme = "furo"
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
suppress_warnings = ["myst.xref_missing"]  # links to files of the repository that are no pages
