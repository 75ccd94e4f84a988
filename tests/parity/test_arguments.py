"""Arguments reach a script as plain Python would have called it: each kind of annotation, in a real kernel."""

import subprocess
import sys
import textwrap

import pytest

from tests.conftest import DEADLINE
from tests.parity.both import as_procedure, events_of, plainly

TYPES = """
import enum, typing
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, NewType, NotRequired, Optional, TypedDict, Union
from uuid import UUID
import msgspec
class Band(enum.Enum):
    LOW = "low"
    MID = "mid"
class Level(enum.IntEnum):
    ONE = 1
    TWO = 2
class Perm(enum.Flag):
    R = 1
    W = 2
@dataclass
class Config:
    depth: int
    where: "Path | None" = None
    bands: list[Band] = field(default_factory=list)
class Point(NamedTuple):
    x: float
    y: float = 0.0
class Target(TypedDict):
    name: str
    when: NotRequired[date]
class Record(msgspec.Struct):
    depth: int
ObsId = NewType("ObsId", str)
def show(**values):
    for name, value in values.items():
        print(name, type(value).__name__, repr(value))
"""
GIVEN = {
    "by_value": ("Band", "mid", "Band.MID"),
    "by_name": ("Band", "MID", "Band.MID"),
    "level": ("Level", 2, "Level.TWO"),
    "perm": ("Perm", 3, "Perm.R | Perm.W"),
    "path": ("Path", "/etc", "Path('/etc')"),
    "moment": ("datetime", "2026-11-25T10:00:00", "datetime(2026, 11, 25, 10)"),
    "day": ("date", "2026-11-25", "date(2026, 11, 25)"),
    "clock": ("time", "10:00", "time(10)"),
    "span": ("timedelta", "PT1H", "timedelta(hours=1)"),
    "seconds": ("timedelta", 5, "timedelta(seconds=5)"),
    "digits": ("Decimal", "1.50", "Decimal('1.50')"),
    "uid": ("UUID", "12345678-1234-5678-1234-567812345678", "UUID('12345678-1234-5678-1234-567812345678')"),
    "number": ("float", 5, "5.0"),
    "whole": ("int", 3.0, "3"),
    "text": ("str", "007", "'007'"),
    "pair": ("tuple[float, float]", [1, 2], "(1.0, 2.0)"),
    "many": ("tuple[int, ...]", [1, 2], "(1, 2)"),
    "names": ("set[str]", ["a"], "{'a'}"),
    "frozen": ("frozenset[int]", [1], "frozenset({1})"),
    "paths": ("list[Path]", ["a"], "[Path('a')]"),
    "table": ("dict[int, Band]", {"5": "low"}, "{5: Band.LOW}"),
    "config": (
        "Config",
        {"depth": 1, "where": "a", "bands": ["mid"]},
        "Config(depth=1, where=Path('a'), bands=[Band.MID])",
    ),
    "point": ("Point", [1], "Point(1.0)"),
    "target": ("Target", {"name": "a", "when": "2026-11-25"}, "{'name': 'a', 'when': date(2026, 11, 25)}"),
    "record": ("Record", {"depth": 1}, "Record(1)"),
    "literal": ("Literal['a', 2]", 2, "2"),
    "maybe": ("Optional[Path]", None, "None"),
    "union": ("Union[int, list[int]]", [1.0], "[1]"),
    "noted": ("Annotated[Path, 'where']", "a", "Path('a')"),
    "obs_id": ("ObsId", "20260101_0001", "'20260101_0001'"),
    "quoted": ("'list[Path]'", ["a"], "[Path('a')]"),
    "unknown": ("'nowhere'", [1], "[1]"),
}


def signature():
    return ", ".join(f"{name}: {kind}" for name, (kind, _, _) in GIVEN.items())


def ended(side, path, init=None, main=None, script=None):
    """Run a script as a procedure; gives what it printed, its state and its stack trace, or why it was refused."""
    body = {"script": script or {"script_type": "filesystem", "script_uri": path.as_uri()}}
    reply = side.http.post("/procedures", json={**body, "script_args": {"init": init or {}}})
    if reply.status_code != 201:
        return "", "REFUSED", reply.json()["Message"]
    pid = int(reply.json()["procedure"]["id"])
    summary = side.until(pid, "READY")
    if summary["state"] == "READY":
        body = {"state": "RUNNING", "script_args": {"main": main or {}}}
        reply = side.http.put(f"/procedures/{pid}", json=body)
        if reply.status_code != 200:
            return "", "REFUSED", reply.json()["Message"]
        summary = side.until(pid)
    said = [one["data"]["text"] for one in events_of(side, pid) if one["topic"] == "procedure.output.stream"]
    return "".join(said), summary["state"], summary["history"]["stacktrace"] or ""


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"], ids=["evaluated", "as text"])
def test_each_annotation_arrives_as_a_call_in_plain_python_would_give_it(side, tmp_path, future):
    names = ", ".join(f"{name}={name}" for name in GIVEN)
    text = f"{future}{TYPES}\ndef main({signature()}):\n    show({names})\n"
    values = ", ".join(f"{name}={expected}" for name, (_, _, expected) in GIVEN.items())
    path = tmp_path / "script.py"
    path.write_text(text)
    plain = subprocess.run(
        [sys.executable, "-c", f"from script import *\nfrom script import main\nmain({values})"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    out, state, trace = ended(side, path, main={"kwargs": {name: value for name, (_, value, _) in GIVEN.items()}})
    assert (state, trace) == ("COMPLETE", "")
    assert out == plain.stdout
    assert plain.stdout


def test_init_and_what_it_makes_of_main_have_their_promises_kept(side, tmp_path):
    text = f"""{TYPES}
import functools
def init(subarray_id: int, *bands: Band, where: Path):
    global main
    show(subarray_id=subarray_id, bands=bands, where=where)
    main = functools.partial(_main, subarray_id)
def _main(subarray_id: int, when: datetime, **limits: timedelta):
    show(subarray_id=subarray_id, when=when, limits=limits)
"""
    path = tmp_path / "script.py"
    path.write_text(text)
    init = {"args": [2.0, "low", "MID"], "kwargs": {"where": "a"}}
    out, state, trace = ended(side, path, init, {"args": ["2026-11-25"], "kwargs": {"a": 5}})
    assert (state, trace) == ("COMPLETE", "")
    assert out.splitlines() == [
        "subarray_id int 2",
        "bands tuple (<Band.LOW: 'low'>, <Band.MID: 'mid'>)",
        "where PosixPath PosixPath('a')",
        "subarray_id int 2",
        "when datetime datetime.datetime(2026, 11, 25, 0, 0)",
        "limits dict {'a': datetime.timedelta(seconds=5)}",
    ]


@pytest.mark.parametrize(
    ("parameter", "value", "state", "said"),
    [
        ("x: int", "5", "REFUSED", '$.script_args.main.kwargs.x: expected integer, got string "5"'),
        ("x: date", "2026-13-01", "REFUSED", "$.script_args.main.kwargs.x: expected date of ISO 8601 (2026-11-25)"),
        ("x: str", True, "REFUSED", "$.script_args.main.kwargs.x: expected string, got boolean true"),
        ("x: Config", {"depth": "x"}, "FAILED", 'TypeError: main.kwargs.x.depth: expected integer, got string "x"\n'),
        ("x: Perm", 64, "FAILED", "TypeError: main.kwargs.x: expected one of R (1), W (2), got integer 64\n"),
    ],
)
def test_what_cannot_be_is_refused_by_its_path(side, tmp_path, parameter, value, state, said):
    path = tmp_path / "script.py"
    path.write_text(f"{TYPES}\ndef main({parameter}): print('called')\n")
    out, ended_as, told = ended(side, path, main={"kwargs": {"x": value}})
    assert (out, ended_as) == ("", state)
    assert told.startswith(said)


def test_defaults_are_left_alone(side, tmp_path):
    text = "def main(a: 'pathlib.Path' = 'text', b: list[int] = ('x',), c: int = None): print(repr((a, b, c)))"
    assert as_procedure(side, tmp_path / "here", text).ran == plainly(tmp_path / "plain", text)


def test_text_is_decided_in_the_kernel_where_the_service_cannot_read_the_script(side, tmp_path):
    repository = tmp_path / "repository"
    repository.mkdir()
    text = """
        from typing import NewType
        ObsId = NewType("ObsId", str)
        def init(obs_id: ObsId, count: int): print(repr(obs_id), repr(count))
        def main(*names: str, more=None, **others: str): print(repr(names), repr(more), repr(others))
    """
    (repository / "script.py").write_text(textwrap.dedent(text))
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(repository)]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "a"]):
        subprocess.run([*git, *command], check=True, timeout=DEADLINE)
    script = {
        "script_type": "git",
        "script_uri": "git://script.py",
        "git_args": {"git_repo": repository.as_uri()},
    }
    number = 202601010001
    init = {"args": [number], "kwargs": {"count": 5}, "typed": {"args": ["20260101_0001"], "kwargs": {"count": "5"}}}
    main = {
        "args": [1e5, "word"],
        "kwargs": {"more": 7, "x": None},
        "typed": {"args": ["1e5", None], "kwargs": {"more": "7", "x": "None"}},
    }
    out, state, trace = ended(side, None, init, main, script)
    assert (state, trace) == ("COMPLETE", "")
    assert out == "'20260101_0001' 5\n('1e5', 'word') 7 {'x': 'None'}\n"
