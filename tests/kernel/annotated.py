"""A module of a script whose functions have annotations of every kind."""

import sys
import types

from oet_kernel.kernel.arguments import convert
from oet_kernel.models import ProcedureInput

PRELUDE = """
import collections, enum, numbers, os, pathlib, typing, uuid
import collections.abc as abc
import datetime as dt
from collections import OrderedDict, deque, namedtuple
from dataclasses import InitVar, dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum, auto
from pathlib import Path, PurePath, PurePosixPath
from typing import (Annotated, Any, Callable, Final, Generic, Iterable, Literal, Mapping, NamedTuple, NewType,
    NotRequired, Optional, Protocol, Sequence, TypedDict, TypeVar, Union, Unpack)
from uuid import UUID
import attrs, msgspec, pydantic

T = TypeVar("T")

class Band(Enum):
    LOW = "low"
    MID = "mid"
class Level(IntEnum):
    ONE = 1
    TWO = 2
class Mode(StrEnum):
    FAST = auto()
class Old(str, Enum):
    A = "a"
class Pair(Enum):
    X = (1, 2)
class Where(Enum):
    HERE = Path("here")
class Swapped(Enum):
    A = "B"
    B = "A"
class Loud(Enum):
    YES = "yes"
    @classmethod
    def _missing_(cls, value):
        return cls.YES if str(value).lower() == "yes" else None
class Perm(Flag):
    R = auto()
    W = auto()
class Bits(IntFlag):
    A = 1
    B = 2

@dataclass
class Config:
    depth: int
    where: "Path | None" = None
    bands: list[Band] = field(default_factory=list)
@dataclass(frozen=True, kw_only=True, slots=True)
class Strict:
    depth: int
    def __post_init__(self):
        if self.depth < 0:
            raise ValueError("depth must not be negative")
@dataclass
class Node:
    name: str
    children: "list[Node]" = field(default_factory=list)
@dataclass
class Box(Generic[T]):
    item: T
@dataclass
class Derived(Config):
    when: datetime = None
@dataclass
class Initialised:
    scale: InitVar[float]
    made: float = field(init=False)
    def __post_init__(self, scale):
        self.made = scale * 2
@attrs.define
class Made:
    _depth: int
    when: date = None
    loose: int = attrs.field(default=0, converter=int)
class Model(pydantic.BaseModel):
    depth: int
    when: date | None = None
    bands: list[Band] = []
class Record(msgspec.Struct):
    depth: int
    where: Path = Path(".")
class Point(NamedTuple):
    x: float
    y: float = 0.0
Untyped = namedtuple("Untyped", "a b")
class Target(TypedDict):
    name: str
    when: NotRequired[datetime]
class Partial(TypedDict, total=False):
    depth: int
class Plain:
    pass
class Speaks(Protocol):
    def speak(self): ...

Name = NewType("Name", str)
Moment = NewType("Moment", datetime)
Degrees = Annotated[float, "degrees"]
Alias = list[Path]
"""
module = types.ModuleType("script_of_arguments")
sys.modules[module.__name__] = module
exec(compile(PRELUDE, "script.py", "exec", dont_inherit=True), vars(module))


def define(signature, prelude=""):
    """Define a function in the script."""
    exec(
        compile(f"{prelude}\ndef main({signature}): return locals()\n", "script.py", "exec", dont_inherit=True),
        vars(module),
    )
    return module.main


def called(function, *args, **kwargs):
    given = convert(function, ProcedureInput(list(args), kwargs), "main")
    return function(*given.args, **given.kwargs)
