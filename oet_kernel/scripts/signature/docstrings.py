"""Reads what a docstring says of a function and of its arguments, in whichever of the usual styles it is written. Pure.

numpydoc, Google, reST (``:param x:``) and Epydoc (``@param x:``) are told apart by what they describe: the style that
describes most of the arguments holds, and what it leaves out is taken from the others.
"""

import re
from collections.abc import Callable, Collection

from docstring_parser import Docstring, epydoc, numpydoc, rest
from docstring_parser.google import DEFAULT_SECTIONS, GoogleParser, Section, SectionType

Told = dict[str, tuple[str | None, str | None]]
"""The type and the description of parameters, by name, as a docstring has them."""
_LONGEST = 200
"""Characters of a type that are shown."""
_MOST = 20_000
"""Characters of a docstring that are read: the time of its parsers grows with the square of some."""
_MORE = ("Keyword Args", "Keyword Arguments", "Other Parameters", "Other Args", "Other Arguments")
"""Sections of Google's style, as Napoleon reads it, that its parser does not know by itself."""
_google = GoogleParser([*DEFAULT_SECTIONS, *(Section(one, "param", SectionType.MULTIPLE) for one in _MORE)])
_STYLES: tuple[Callable[[str], Docstring], ...] = (numpydoc.parse, _google.parse, rest.parse, epydoc.parse)
_ARGUMENTS = frozenset({"param", "other_param", "parameter", "arg", "argument", "key", "keyword", "attribute", "type"})
"""What the styles call the sections and the fields that describe arguments."""
_FOREIGN = re.compile(
    r"^[^\S\n]*[:@](?:param|parameter|arg|argument|key|keyword|type|returns?|rtype|raises?)\b"
    r"|^(?:Returns|Yields|Raises|Args|Arguments|Examples?|Notes?):[^\S\n]*$",
    re.MULTILINE,
)
"""A field or section of another style, where a description ends that one style takes for longer."""


def described(docstring: str | None, names: Collection[str]) -> tuple[str | None, Told]:
    """Read a docstring.

    Parameters
    ----------
    docstring
        Its text, as ``inspect.cleandoc`` leaves it; None where there is none.
    names
        The function's parameters: nothing else is looked for.

    Returns
    -------
    str or None
        The description of the function, without its sections and fields.
    dict
        Of each parameter that is described its type and its description.
    """
    if docstring is None:
        return None, {}
    docstring = docstring[:_MOST]
    found: list[tuple[str | None, Told]] = []
    for parse in _STYLES:
        try:
            parsed = parse(docstring)
            found.append(((parsed.description or "").strip() or None, _told(parsed, names)))
        except Exception:  # a docstring is prose: what is none of a style describes nothing in it  # nosec B112
            continue
    if not any(told for _, told in found):
        return _undescribed(docstring, found), {}
    found.sort(key=lambda one: -len(one[1]))  # is stable: of two that describe as much, the first in the table holds
    description, _ = found[0]
    merged: Told = {}
    for _, told in found:
        for name, (kind, text) in told.items():
            known_kind, known_text = merged.get(name, (None, None))
            merged[name] = (known_kind or kind, known_text or text)
    return description, merged


def _undescribed(docstring: str, found: list[tuple[str | None, Told]]) -> str | None:
    """Return the description of a docstring without arguments: the one with the fewest words, without sections."""
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
    """Return a description up to the next field or section of whichever style."""
    if not description:
        return None
    foreign = _FOREIGN.search(description)
    return (description[: foreign.start()] if foreign else description).strip() or None


def _one_line(text: str | None) -> str | None:
    return " ".join(text.split())[:_LONGEST] if text else None
