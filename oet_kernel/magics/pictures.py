"""Pictures displayed by scripts, in forms safe for a notebook, without executable content. Pure functions."""

import re
from base64 import b64encode
from html import escape
from typing import Any

from msgspec import Struct

_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_SVG = "image/svg+xml"
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]*={0,2}\s*")


class Picture(Struct, frozen=True):
    """Picture displayed by a script."""

    mime: str
    data: str
    """Data of the picture, in base64."""
    text: str = ""
    """Alternative text."""
    display_id: str | None = None
    """Id by which it can be updated; None without."""
    update: bool = False
    """True if it replaces an earlier picture with the same id."""

    @property
    def html(self) -> str:
        """Picture as an HTML element, in which an SVG runs no scripts."""
        return f"<img alt='{escape(self.text)}' src='data:{self.mime};base64,{self.data}'>"

    @property
    def bundle(self) -> dict[str, str]:
        """Picture by MIME type, for a display."""
        shown = {"text/html": self.html} if self.mime == _SVG else {self.mime: self.data}
        return {"text/plain": self.text, **shown}


def picture_of(fields: dict[str, Any]) -> Picture | None:
    """Return the picture of a display; None if it has none.

    Parameters
    ----------
    fields
        Fields of the event.
    """
    data = fields.get("data")
    if not isinstance(data, dict):
        return None
    found = next(((mime, data[mime]) for mime in _TYPES if _is_base64(data.get(mime))), None)
    if found is None and isinstance(data.get(_SVG), str):
        found = (_SVG, b64encode(data[_SVG].encode("utf-8", "replace")).decode())
    if found is None:
        return None
    text, display_id = data.get("text/plain"), fields.get("display_id")
    return Picture(
        *found,
        text if isinstance(text, str) else "",
        display_id if isinstance(display_id, str) else None,
        bool(fields.get("update")),
    )


def _is_base64(data: Any) -> bool:
    return isinstance(data, str) and _BASE64.fullmatch(data) is not None
