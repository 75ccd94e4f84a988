"""What the request's check admits, the kernel makes; what it refuses, the kernel refuses: of annotations it knows."""

import sys
import types
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oet_kernel.kernel.arguments import convert
from oet_kernel.models import ProcedureInput
from oet_kernel.scripts.signature.schema import read_script
from oet_kernel.scripts.signature.validation import faults

PRELUDE = """
import enum, uuid
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum, auto
from pathlib import Path
from typing import *

class Band(Enum):
    LOW = "1"
    MID = "low"
class Level(IntEnum):
    ONE = auto()
    TWO = auto()
class Word(StrEnum):
    YES = auto()
class Pair(Enum):
    ONE = 1
    HALF = 0.5
    TRUE = True
class Plain:
    pass
Degrees = Annotated[float, "degrees"]
Times = list[datetime]
""".replace(
    "from typing import *", "from typing import Annotated, Any, Iterable, Literal, Mapping, Optional, Sequence, Union"
)
module = types.ModuleType("script_of_agreement")
sys.modules[module.__name__] = module
exec(compile(PRELUDE, "script.py", "exec", dont_inherit=True), vars(module))

LEAVES = st.sampled_from(
    [
        "int", "float", "bool", "str", "None", "Any", "Plain", "Path", "datetime", "date", "time", "timedelta",
        "Decimal", "uuid.UUID", "bytes", "Band", "Level", "Word", "Pair", "Degrees", "Times", "list", "dict",
        "tuple[()]", "Literal['a', 3, None]", "Literal[1]", "Literal[True, 'x']",
    ]
)  # fmt: skip
ANNOTATIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds("list[{}]".format, inner),
        st.builds("Sequence[{}]".format, inner),
        st.builds("Iterable[{}]".format, inner),
        st.builds("tuple[{}, ...]".format, inner),
        st.builds("tuple[{}, {}]".format, inner, inner),
        st.builds(
            "dict[{}, {}]".format, st.sampled_from(["str", "int", "Band", "date", "Level", "float", "bool"]), inner
        ),
        st.builds("Mapping[str, {}]".format, inner),
        st.builds("Optional[{}]".format, inner),
        st.builds("Union[{}, {}]".format, inner, inner),
    ),
    max_leaves=4,
)
TEXTS = st.sampled_from(
    [
        "", "a", "x", "1", "0.5", "low", "LOW", "MID", "ONE", "yes", "YES", "true", "null", "2026-11-25",
        "2026-11-25T10:00:00Z", "10:00", "PT5S", "aGVsbG8=", "12345678-1234-5678-1234-567812345678", "20261125", "a=",
    ]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, -2.0, 1e300, 2**62]) | TEXTS
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def kernel_takes(function, value):
    try:
        convert(function, ProcedureInput([value]), "main")
    except TypeError:
        return False
    return True


def both(annotation, value, default=""):
    """Ask the request's check, and the kernel."""
    text = f"def main(x: {annotation}{default}): pass\n"
    exec(compile(text, "script.py", "exec", dont_inherit=True), vars(module))
    main = read_script(PRELUDE + text).main
    return not faults(main, [value], {}, "$"), kernel_takes(module.main, value)


@given(ANNOTATIONS, JSON)
def test_check_and_kernel_agree(annotation, value):
    checked, taken = both(annotation, value)
    assert checked == taken


@given(ANNOTATIONS, JSON, st.sampled_from(["None", "5", "'x'", "[1]", "(1, 2)", "Band.LOW", "Path('x')"]))
def test_check_and_kernel_agree_where_there_is_a_default(annotation, value, default):
    checked, taken = both(annotation, value, f" = {default}")
    assert checked == taken


@pytest.mark.parametrize(
    ("annotation", "value"),
    [("set[list[int]]", [[1]]), ("'unknown'", 1), ("complex", "x"), ("Optional[Plain]", 1)],
)
def test_what_is_not_known_at_the_request_is_never_refused_there(annotation, value):
    checked, _ = both(annotation, value)
    assert checked


@given(st.data())
def test_any_annotation_and_any_value_end_in_a_value_or_a_refusal(data):
    annotation = data.draw(ANNOTATIONS | st.text(alphabet="intlisr[],.()'| ", max_size=12))
    with suppress(SyntaxError, NameError, TypeError, AttributeError, ValueError, KeyError):
        exec(compile(f"def main(x: {annotation!r}): pass", "script.py", "exec", dont_inherit=True), vars(module))
        kernel_takes(module.main, data.draw(JSON))
