"""Values that nobody sends on purpose: deep, long, out of range, of the wrong type, in the wrong encoding."""

import json
from typing import Any

from hypothesis import strategies as st

from oet_kernel import topics as known

ODD_TEXTS = (
    "", " ", ".", "..", "/", "\0", "\x1b[2J\x1b]0;owned\x07", "\x9b31m", "\u202egnp.exe", "\ud800", "\udce9", "\u2028",
    "\ufeff", "x" * 5000, "%00", "%2e%2e%2f", "*" * 600, "(a+)+$", "NaN", "__proto__", "None", "-1", "1e999",
    "a\r\nb: c",    "'; drop table procedures; --", "<script>alert(1)</script>", "{}", "file:///etc/passwd",
)  # fmt: skip
ODD_NUMBERS = (0, -1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**70), 10**400, 1e308, -0.0, float("inf"), float("nan"))

texts = st.sampled_from(ODD_TEXTS) | st.text(st.characters(), max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(ODD_NUMBERS) | texts


def nested(levels: int, leaf: Any, key: str | None) -> Any:
    """Put a value into so many lists, or objects with this key."""
    for _ in range(levels):
        leaf = [leaf] if key is None else {key: leaf}
    return leaf


values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=12,
) | st.builds(nested, st.sampled_from((5, 89, 99, 101, 400)), scalars, st.none() | texts)
"""What JSON has, or Python takes for it."""

service_topics = st.sampled_from(
    [value for name, value in vars(known).items() if name.isupper() and isinstance(value, str)]
)
topics = service_topics | st.sampled_from(("user.x", "user", "a..b", ".", "procedure", "user." + "x" * 300)) | texts


def encode(value: Any) -> bytes:
    """Write a value as JSON as loosely as Python does, lone surrogates and all."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


documents = (
    values.map(encode)
    | st.binary(max_size=200)
    | st.sampled_from(
        (b"", b"{", b"[" * 5000, b"[" * 5000 + b"]" * 5000, b"9" * 5000, b"1e999", b'"\\ud800"', b"null,")
    )
    | st.builds(lambda value, cut: encode(value)[:cut], values, st.integers(0, 60))
)
"""Bytes where JSON is expected."""


def fields(*names: str, allowed: st.SearchStrategy[Any] = values) -> st.SearchStrategy[dict[str, Any]]:
    """Give objects with some of these names, and now and then one that nobody knows."""
    return st.dictionaries(st.sampled_from(names) | texts, allowed, max_size=len(names))
