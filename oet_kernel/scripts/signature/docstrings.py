"""Descriptions of a function and its arguments from a docstring in any of the usual styles. Pure.

numpydoc, Google, reST (``:param x:``) and Epydoc (``@param x:``) are tried in turn: the style that describes most of
the arguments takes precedence, and the others fill its gaps.
"""

import re
from collections.abc import Callable, Collection

from docstring_parser import Docstring, epydoc, numpydoc, rest
from docstring_parser.google import DEFAULT_SECTIONS, GoogleParser, Section, SectionType

Told = dict[str, tuple[str | None, str | None]]
"""Type and description of parameters in a docstring, by name."""
_LONGEST = 200
"""Characters of a type that are kept."""
_MOST = 20_000
"""Characters of a docstring that are read, since the time of the parsers can be quadratic."""
_MORE = ("Keyword Args", "Keyword Arguments", "Other Parameters", "Other Args", "Other Arguments")
"""Sections of Google's style that Napoleon supports and the parser does not know by default."""
_google = GoogleParser([*DEFAULT_SECTIONS, *(Section(one, "param", SectionType.MULTIPLE) for one in _MORE)])
_STYLES: tuple[Callable[[str], Docstring], ...] = (numpydoc.parse, _google.parse, rest.parse, epydoc.parse)
_ARGUMENTS = frozenset({"param", "other_param", "parameter", "arg", "argument", "key", "keyword", "attribute", "type"})
"""Names of the sections and fields that describe arguments, in all styles."""
_FOREIGN = re.compile(
    r"^[^\S\n]*[:@](?:param|parameter|arg|argument|key|keyword|type|returns?|rtype|raises?)\b"
    r"|^(?:Returns|Yields|Raises|Args|Arguments|Examples?|Notes?):[^\S\n]*$",
    re.MULTILINE,
)
"""A field or section of another style, which ends a description that one style's parser has read too far."""


def described(docstring: str | None, names: Collection[str]) -> tuple[str | None, Told]:
    """Read a docstring.

    Parameters
    ----------
    docstring
        Text of the docstring after ``inspect.cleandoc``; None where there is none.
    names
        Names of the function's parameters; other names are ignored.

    Returns
    -------
    str or None
        Description of the function, without its sections and fields.
    dict
        Type and description of each parameter that is described.
    """
    if docstring is None:
        return None, {}
    docstring = docstring[:_MOST]
    found: list[tuple[str | None, Told]] = []
    for parse in _STYLES:
        try:
            parsed = parse(docstring)
            found.append(((parsed.description or "").strip() or None, _told(parsed, names)))
        except Exception:  # a docstring is prose: it need not follow the style  # nosec B112
            continue
    if not any(told for _, told in found):
        return _undescribed(docstring, found), {}
    found.sort(key=lambda one: -len(one[1]))  # stable: of two equal styles, the first one wins
    description, _ = found[0]
    merged: Told = {}
    for _, told in found:
        for name, (kind, text) in told.items():
            known_kind, known_text = merged.get(name, (None, None))
            merged[name] = (known_kind or kind, known_text or text)
    return description, merged


def _undescribed(docstring: str, found: list[tuple[str | None, Told]]) -> str | None:
    """Return the description in a docstring without arguments: the shortest of all styles, so without sections."""
    texts = [text for text, _ in found if text]
    return min(texts, key=lambda text: (len(text.split()), -len(text))) if texts else docstring


def _told(parsed: Docstring, names: Collection[str]) -> Told:
    told: Told = {}
    for one in parsed.params:
        if not one.args or one.args[0].lower() not in _ARGUMENTS:
            continue
        for written in one.arg_name.split(","):
            name = written.strip().strip("`").replace("\\", "").lstrip("*")
            if name in names:
                told[name] = (_one_line(one.type_name), _text(one.description))
    return told


def _text(description: str | None) -> str | None:
    """Return a description up to the next field or section of any style."""
    if not description:
        return None
    foreign = _FOREIGN.search(description)
    return (description[: foreign.start()] if foreign else description).strip() or None


def _one_line(text: str | None) -> str | None:
    return " ".join(text.split())[:_LONGEST] if text else None
