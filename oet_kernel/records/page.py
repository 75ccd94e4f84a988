"""Records as web pages, which run no scripts and load no resources; all functions block, and are for threads.

HTML of scripts is cleaned by a list of allowed elements and attributes; the page's policy also forbids scripts, frames,
forms and foreign addresses, in case a browser parses the HTML differently from the cleaner.
"""

import logging
import re
from collections.abc import Iterator
from typing import Any

_quiet = logging.getLogger(f"{__name__}.nbconvert")
_quiet.setLevel(logging.ERROR)
"""Logger for nbconvert, which warns of each figure without a description; operators cannot change that."""

POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; form-action 'none'; base-uri 'none'"
)
"""Content security policy in a page: inline styles and images only."""
HEADER = f"sandbox; {POLICY}; frame-ancestors 'none'"
"""Content security policy in the header of a page's response, with directives that a page itself cannot contain."""
_TEMPLATE = f"""{{%- extends 'lab/index.html.j2' -%}}
{{%- block html_head_js -%}}<meta http-equiv="Content-Security-Policy" content="{POLICY}">{{%- endblock -%}}
{{%- block jupyter_widgets -%}}{{%- endblock -%}}
{{%- block html_head_js_mathjax -%}}{{%- endblock -%}}
{{%- block html_head_js_mermaidjs -%}}{{%- endblock -%}}
"""
_SHOWN = ["text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/latex", "text/plain"]
"""MIME types of outputs that a page shows, the best first: none that needs scripts."""
_PIECE = re.compile(r".{1,8000}(?:.{1,1000}?(?:\n|(?=\x1b)|\Z))?", re.DOTALL)
"""Piece of text that is coloured at once: a colour ends with its line, or with the piece."""


def _words(text: str) -> set[str]:
    return set(text.split())


_LEFT_OUT = _words("script style template noscript noframes noembed iframe object svg title textarea select")
"""Elements that are removed with their content."""
_TAGS = _words(
    "a abbr acronym address article aside b bdi bdo big blockquote br caption center cite code col colgroup dd del"
    " details dfn div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main mark ol"
    " p pre q rp rt ruby s samp section small span strike strong sub summary sup table tbody td tfoot th thead time tr"
    " tt u ul var wbr"
)
_ATTRIBUTES = _words(
    "abbr align alt border bgcolor cellpadding cellspacing class color colspan datetime dir face headers height id lang"
    " open reversed role rowspan scope size span start style tabindex title type valign value width"
)
_STYLES = _words(
    "background-color border border-bottom border-collapse border-color border-left border-radius border-right"
    " border-spacing border-style border-top border-width caption-side clear color direction display float font"
    " font-family font-size font-style font-variant font-weight height letter-spacing line-height list-style-type"
    " margin margin-bottom margin-left margin-right margin-top max-height max-width min-height min-width overflow"
    " overflow-x overflow-y padding padding-bottom padding-left padding-right padding-top text-align text-decoration"
    " text-indent text-transform vertical-align white-space width word-break word-wrap"
)
"""Allowed style properties: none that places an element over others, and none with an address."""


def to_html(notebook: bytes, title: str) -> bytes:
    """Convert a notebook to a self-contained page without scripts.

    Mathematics is shown as its source, and a widget as its text: both need scripts.

    Parameters
    ----------
    notebook
        Content of a notebook file.
    title
        Title of the page.
    """
    # takes a second to import, once, and only for pages
    import nbformat
    from jinja2 import pass_context
    from nbconvert.exporters import HTMLExporter
    from nbconvert.filters import ansi2html
    from nbconvert.filters.markdown_mistune import InvalidNotebook
    from traitlets.config import Config

    class PageExporter(HTMLExporter):
        """Exporter for notebooks on which nbconvert's own fails: with missing attachments, with much coloured text."""

        def default_filters(self) -> Iterator[tuple[str, Any]]:
            yield from super().default_filters()
            # its time is quadratic in the number of colour changes in one text
            yield "ansi2html", lambda text: "".join(map(ansi2html, _PIECE.findall(text)))
            yield "clean_html", clean_html

        @pass_context
        def markdown2html(self, context: Any, source: str) -> str:
            try:
                return str(super().markdown2html(context, source))
            except InvalidNotebook:
                return str(super().markdown2html(context, source.replace("attachment:", "missing:")))

    node = nbformat.reads(notebook.decode(), as_version=nbformat.NO_CONVERT)
    node.metadata.pop("widgets", None)
    for output in (one for cell in node.cells for one in cell.get("outputs", ()) if "data" in one):
        _prepare(output)
    exporter = PageExporter(
        log=_quiet,
        raw_template=_TEMPLATE,
        sanitize_html=True,
        config=Config({"NbConvertBase": {"display_data_priority": _SHOWN}}),
    )
    page, _ = exporter.from_notebook_node(node, resources={"metadata": {"name": title}})
    return str(page).encode()


def _prepare(output: dict[str, Any]) -> None:
    """Add a text for types that a page cannot show; remove sizes that are not numbers, which become attributes."""
    data, metadata = output["data"], output["metadata"]
    if data and not any(mime in data for mime in _SHOWN):
        data["text/plain"] = f"[{', '.join(sorted(data))}: not shown on a page; see the notebook]"
    for about in (metadata, *(one for one in metadata.values() if isinstance(one, dict))):
        for name in ("width", "height"):
            if not isinstance(about.get(name, 0), int | float):
                del about[name]


def clean_html(html: str | bytes) -> str:
    """Return untrusted HTML without elements that run scripts, load or send data, or cover other elements.

    Parameters
    ----------
    html
        A fragment, well-formed or not.
    """
    import nh3  # only pages need it

    return nh3.clean(
        html.decode() if isinstance(html, bytes) else str(html),
        tags=_TAGS,
        clean_content_tags=_LEFT_OUT,
        attributes={"*": _ATTRIBUTES, "a": {"href"}, "img": {"src"}},
        attribute_filter=_address,
        url_schemes={"http", "https", "mailto", "data"},
        filter_style_properties=_STYLES,
    )


def _address(_tag: str, name: str, value: str) -> str | None:
    """Return the value of an attribute; None for an address that is not allowed there."""
    address = value.strip().lower()
    allowed = {"src": address.startswith("data:image/"), "href": not address.startswith("data:")}
    return value if allowed.get(name, True) else None
