"""Arguments become what annotations promise, or are refused by their path."""

import functools
import textwrap

import pytest

from oet_kernel.kernel.arguments import convert
from oet_kernel.models import ProcedureInput, Typed
from tests.kernel.annotated import called, define, module

CONVERTED = [
    # plain values
    ("int", 5, "5"),
    ("int", 3.0, "3"),
    ("float", 5, "5.0"),
    ("float", 1.5, "1.5"),
    ("str", "007", "'007'"),
    ("bool", True, "True"),
    ("None", None, "None"),
    ("complex", 1, "1+0j"),
    ("complex", [1, 2], "1+2j"),
    ("complex", "1+2j", "1+2j"),
    ("bytes", "aGVsbG8=", "b'hello'"),
    ("numbers.Real", 5, "5"),
    ("numbers.Integral", 5.0, "5"),
    # enumerations, by value and by name
    ("Band", "mid", "Band.MID"),
    ("Band", "MID", "Band.MID"),
    ("Level", 2, "Level.TWO"),
    ("Level", 2.0, "Level.TWO"),
    ("Level", "TWO", "Level.TWO"),
    ("Mode", "fast", "Mode.FAST"),
    ("Mode", "FAST", "Mode.FAST"),
    ("Old", "a", "Old.A"),
    ("Pair", [1, 2], "Pair.X"),
    ("Where", "HERE", "Where.HERE"),
    ("Swapped", "A", "Swapped.B"),
    ("Loud", "Yes", "Loud.YES"),
    ("Perm", 3, "Perm.R | Perm.W"),
    ("Perm", "R|W", "Perm.R | Perm.W"),
    ("Perm", "W", "Perm.W"),
    ("Bits", "A | B", "Bits.A | Bits.B"),
    ("Literal[Band.MID]", "mid", "Band.MID"),
    ("Literal['a', 3, None]", 3, "3"),
    ("Literal['a', 3, None]", None, "None"),
    ("Literal[True]", True, "True"),
    # what texts stand for
    ("Path", "/etc", "Path('/etc')"),
    ("PurePath", "a", "PurePath('a')"),
    ("PurePosixPath", "a", "PurePosixPath('a')"),
    ("os.PathLike", "a", "Path('a')"),
    ("'os.PathLike[str]'", "a", "Path('a')"),
    ("datetime", "2026-11-25T10:00:00", "datetime(2026, 11, 25, 10)"),
    ("datetime", "2026-11-25T10:00:00Z", "datetime(2026, 11, 25, 10, tzinfo=timezone.utc)"),
    ("datetime", "2026-11-25 10:00", "datetime(2026, 11, 25, 10)"),
    ("datetime", "2026-11-25", "datetime(2026, 11, 25)"),
    ("dt.datetime", 0, "datetime(1970, 1, 1, tzinfo=timezone.utc)"),
    ("date", "2026-11-25", "date(2026, 11, 25)"),
    ("time", "10:00", "time(10)"),
    ("timedelta", "PT1H30M", "timedelta(minutes=90)"),
    ("timedelta", "P1D", "timedelta(days=1)"),
    ("timedelta", 5, "timedelta(seconds=5)"),
    ("timedelta", 0.5, "timedelta(seconds=0.5)"),
    ("Decimal", "1.50", "Decimal('1.50')"),
    ("Decimal", 1.1, "Decimal('1.1')"),
    ("Decimal", 3, "Decimal(3)"),
    ("UUID", "12345678-1234-5678-1234-567812345678", "UUID('12345678-1234-5678-1234-567812345678')"),
    # arrays
    ("list[Path]", ["a"], "[Path('a')]"),
    ("Alias", ["a"], "[Path('a')]"),
    ("list", [1, "a"], "[1, 'a']"),
    ("typing.List[float]", [1], "[1.0]"),
    ("tuple[float, float]", [1, 2], "(1.0, 2.0)"),
    ("tuple[int, ...]", [1, 2, 3], "(1, 2, 3)"),
    ("tuple[()]", [], "()"),
    ("tuple", [1], "(1,)"),
    ("typing.Tuple[int, str]", [1, "a"], "(1, 'a')"),
    ("tuple[int, *tuple[str, ...]]", [1, "a"], "(1, 'a')"),
    ("set[str]", ["a", "b"], "{'a', 'b'}"),
    ("set[tuple[int, int]]", [[1, 2]], "{(1, 2)}"),
    ("frozenset[Band]", ["low"], "frozenset({Band.LOW})"),
    ("abc.Set[int]", [1], "{1}"),
    ("deque[int]", [1], "deque([1])"),
    ("abc.MutableSequence[int]", [1.0], "[1]"),
    ("Sequence[Path]", ["a"], "[Path('a')]"),
    ("Sequence[str]", "abc", "'abc'"),
    ("Iterable[str]", {"a": 1}, "{'a': 1}"),
    # objects
    ("dict", {"a": 1}, "{'a': 1}"),
    ("dict[str, float]", {"a": 1}, "{'a': 1.0}"),
    ("dict[int, str]", {"5": "a"}, "{5: 'a'}"),
    ("dict[Band, date]", {"low": "2026-11-25"}, "{Band.LOW: date(2026, 11, 25)}"),
    ("Mapping[float, Any]", {"1.5": None}, "{1.5: None}"),
    ("OrderedDict[str, int]", {"a": 1.0}, "OrderedDict(a=1)"),
    ("Target", {"name": "a", "when": "2026-11-25"}, "{'name': 'a', 'when': datetime(2026, 11, 25)}"),
    ("Target", {"name": "a", "more": 1}, "{'name': 'a', 'more': 1}"),
    ("Partial", {}, "{}"),
    ("Point", {"x": 1}, "Point(1.0, 0.0)"),
    ("Point", [1, 2], "Point(1.0, 2.0)"),
    ("Untyped", [1, "b"], "Untyped(1, 'b')"),
    ("Config", {"depth": 1.0, "where": "a", "bands": ["mid"]}, "Config(1, Path('a'), [Band.MID])"),
    ("Strict", {"depth": 1}, "Strict(depth=1)"),
    ("Node", {"name": "a", "children": [{"name": "b"}]}, "Node('a', [Node('b')])"),
    ("Box[Path]", {"item": "a"}, "Box(Path('a'))"),
    ("Box[list[Box[date]]]", {"item": [{"item": "2026-11-25"}]}, "Box([Box(date(2026, 11, 25))])"),
    ("Derived", {"depth": 1, "where": "a", "when": "2026-11-25"}, "Derived(1, Path('a'), when=datetime(2026, 11, 25))"),
    ("Model", {"depth": 1, "bands": ["low"]}, "Model(depth=1, bands=[Band.LOW])"),
    ("Model", {"depth": 1, "when": "2026-11-25"}, "Model(depth=1, when=date(2026, 11, 25))"),
    ("list[Model]", [{"depth": 1}], "[Model(depth=1)]"),
    ("Optional[Model]", None, "None"),
    ("Made", {"depth": 1, "when": "2026-11-25", "loose": "5"}, "Made(1, date(2026, 11, 25), 5)"),
    ("Record", {"depth": 1, "where": "a"}, "Record(1, Path('a'))"),
    # several kinds
    ("Optional[Path]", None, "None"),
    ("Optional[Path]", "a", "Path('a')"),
    ("Path | None", "a", "Path('a')"),
    ("str | Path", "a", "'a'"),
    ("Path | str", "a", "'a'"),
    ("int | float", 1.5, "1.5"),
    ("float | int", 5, "5"),
    ("int | str", "5", "'5'"),
    ("bool | int", 1, "1"),
    ("list[int] | list[str]", ["a"], "['a']"),
    ("Band | int", "mid", "Band.MID"),
    ("Config | Target", {"name": "a"}, "{'name': 'a'}"),
    ("datetime | Plain", "2026-11-25", "datetime(2026, 11, 25)"),
    # what says more of a type, or names it anew
    ("Name", "a", "'a'"),
    ("Moment", "2026-11-25", "datetime(2026, 11, 25)"),
    ("Degrees", 5, "5.0"),
    ("Annotated[Path, 1]", "a", "Path('a')"),
    ("Final[Path]", "a", "Path('a')"),
    ("'Path'", "a", "Path('a')"),
    ("'list[\"Path\"]'", ["a"], "[Path('a')]"),
    ("list['Path']", ["a"], "[Path('a')]"),
    ("typing.List['Path']", ["a"], "[Path('a')]"),
    ("Optional['Config']", {"depth": 1}, "Config(1)"),
    # an author who gives another default means more
    ("int = None", None, "None"),
    ("Path = None", "a", "Path('a')"),
    ("int = 'auto'", "auto", "'auto'"),
    ("int = 'auto'", "x", "'x'"),
    ("tuple[int, int] = (1, 2)", [3, 4], "(3, 4)"),
    ("Band = Band.LOW", "mid", "Band.MID"),
    # what promises nothing that is known
    ("Any", {"a": 1}, "{'a': 1}"),
    ("object", 5, "5"),
    ("Plain", "a", "'a'"),
    ("list[Plain]", ["a"], "['a']"),
    ("Speaks", "a", "'a'"),
    ("Callable[[int], str]", "a", "'a'"),
    ("type[int]", "a", "'a'"),
    ("T", "a", "'a'"),
    ("list[T]", ["a"], "['a']"),
    ("'unknown'", "a", "'a'"),
    ("'list[unknown]'", "a", "'a'"),
    ("'not python('", "a", "'a'"),
    ("'a text'", "a", "'a'"),
    ("5", "a", "'a'"),
    ("[1, 2]", "a", "'a'"),
    ("print", "a", "'a'"),
    # clients of the original make numbers of what was typed
    ("str", 5, "'5'"),
    ("str", 1.5, "'1.5'"),
    ("Optional[str]", 5, "'5'"),
    ("Path", 5, "Path('5')"),
]  # fmt: skip


@pytest.mark.parametrize(("annotation", "value", "expected"), CONVERTED)
def test_value_becomes_what_is_promised(annotation, value, expected):
    made = called(define(f"x: {annotation}"), x=value)["x"]
    promised = eval(expected, vars(module))
    assert made == promised
    assert type(made) is type(promised)
    if isinstance(promised, list | tuple):
        assert [type(one) for one in made] == [type(one) for one in promised]


@pytest.mark.parametrize(("annotation", "value", "expected"), CONVERTED)
def test_annotations_that_are_texts_promise_the_same(annotation, value, expected):
    function = define(f"x: {annotation}", "from __future__ import annotations")
    assert called(function, x=value)["x"] == eval(expected, vars(module))


REFUSED = [
    ("int", "5", 'main.kwargs.x: expected integer, got string "5"'),
    ("int", True, "main.kwargs.x: expected integer, got boolean true"),
    ("int", 0.5, "main.kwargs.x: expected integer, got number 0.5"),
    ("int", None, "main.kwargs.x: expected integer, got null"),
    ("float", "1", 'main.kwargs.x: expected number, got string "1"'),
    ("float", False, "main.kwargs.x: expected number, got boolean false"),
    ("bool", 1, "main.kwargs.x: expected boolean, got integer 1"),
    ("None", 1, "main.kwargs.x: expected null, got integer 1"),
    ("complex", "x", 'main.kwargs.x: expected complex number (1.5, [1, 2] or "1+2j"), got string "x"'),
    ("bytes", "a", 'main.kwargs.x: expected bytes in base64, got string "a"'),
    ("Band", "high", "main.kwargs.x: expected one of LOW ('low'), MID ('mid'), got string \"high\""),
    ("Level", True, "main.kwargs.x: expected one of ONE (1), TWO (2), got boolean true"),
    ("Perm", 64, "main.kwargs.x: expected one of R (1), W (2), got integer 64"),
    ("Perm", "R|X", 'main.kwargs.x: expected one of R (1), W (2), got string "R|X"'),
    ("Loud", "no", "main.kwargs.x: expected one of YES ('yes'), got string \"no\""),
    ("Literal['a', 1]", True, "main.kwargs.x: expected one of 'a', 1, got boolean true"),
    ("datetime", "yesterday", "main.kwargs.x: expected date and time of ISO 8601"),
    ("datetime", 1e300, "main.kwargs.x: expected date and time of ISO 8601"),
    ("datetime", True, "main.kwargs.x: expected date and time of ISO 8601"),
    ("date", "2026-13-01", "main.kwargs.x: expected date of ISO 8601 (2026-11-25)"),
    ("date", 5, "main.kwargs.x: expected date of ISO 8601"),
    ("time", "25:00", "main.kwargs.x: expected time of ISO 8601"),
    ("timedelta", "5 s", "main.kwargs.x: expected duration of ISO 8601 (PT1H30M) or seconds"),
    ("timedelta", 1e300, "main.kwargs.x: expected duration of ISO 8601"),
    ("Decimal", "1,5", "main.kwargs.x: expected decimal number"),
    ("UUID", "x", "main.kwargs.x: expected UUID"),
    ("list[int]", "x", 'main.kwargs.x: expected array, got string "x"'),
    ("list[int]", [1, "x"], 'main.kwargs.x[1]: expected integer, got string "x"'),
    ("set[list[int]]", [[1]], "main.kwargs.x[0]: expected item of a set, got list, which cannot be hashed"),
    ("frozenset[Any]", [1, {}], "main.kwargs.x[1]: expected item of a frozenset, got dict, which cannot be hashed"),
    ("set[tuple[Any]]", [[1], [[2]]], "main.kwargs.x[1]: expected item of a set, got tuple, which cannot be hashed"),
    ("list[set[set[int]]]", [[], [[1]]], "main.kwargs.x[1][0]: expected item of a set, got set, which cannot be hash"),
    ("set", [{}], "main.kwargs.x[0]: expected item of a set, got dict, which cannot be hashed"),
    ("tuple[int, int]", [1], "main.kwargs.x: expected array of 2 items, got 1 items"),
    ("tuple[int, int]", [1, "x"], 'main.kwargs.x[1]: expected integer, got string "x"'),
    ("Sequence[int]", "12", 'main.kwargs.x: expected array, got string "12"'),
    ("dict[str, int]", {"b c": "x"}, 'main.kwargs.x["b c"]: expected integer, got string "x"'),
    ("dict[int, int]", {"x": 1}, 'main.kwargs.x.x: expected integer as key, got string "x"'),
    ("dict[str, list[Path]]", {"a": [1]}, "main.kwargs.x.a[0]: expected path, got integer 1"),
    ("Target", {}, "main.kwargs.x.name: required"),
    ("Target", {"name": 1}, "main.kwargs.x.name: expected string, got integer 1"),
    ("Config", {"depth": "x"}, 'main.kwargs.x.depth: expected integer, got string "x"'),
    ("Config", {"depth": 1, "deep": 2}, "main.kwargs.x.deep: unexpected, Config takes depth, where, bands"),
    ("Config", {"depth": 1, "bands": ["x"]}, "main.kwargs.x.bands[0]: expected one of LOW"),
    ("Config", [1], "main.kwargs.x: expected object, got array"),
    ("Strict", {"depth": -1}, "main.kwargs.x: not a valid Strict: ValueError: depth must not be negative"),
    ("Node", {"name": "a", "children": [{"name": 1}]}, "main.kwargs.x.children[0].name: expected string, got integer"),
    ("Box[Path]", {"item": 1}, "main.kwargs.x.item: expected path, got integer 1"),
    ("Model", {"depth": None}, "main.kwargs.x.depth: Input should be a valid integer"),
    ("list[Model]", [{"depth": 1}, {}], "main.kwargs.x[1].depth: Field required"),
    ("Made", {"depth": "x"}, 'main.kwargs.x.depth: expected integer, got string "x"'),
    ("Record", {"depth": "x"}, "main.kwargs.x.depth: expected int, got str"),
    ("Record", {"depth": 1, "where": 5}, "main.kwargs.x.where: expected path, got integer 5"),
    ("Point", [1, 2, 3], "main.kwargs.x: expected array of at most 2 items, got 3 items"),
    ("Point", {"x": "a"}, 'main.kwargs.x.x: expected number, got string "a"'),
    ("int | list[int]", ["x"], 'main.kwargs.x[0]: expected integer, got string "x"'),
    ("int | dict", [1], "main.kwargs.x: expected integer or object, got array"),
    ("int = None", "x", 'main.kwargs.x: expected integer, got string "x"'),
]  # fmt: skip


@pytest.mark.parametrize(("annotation", "value", "said"), REFUSED)
def test_value_that_cannot_be_is_refused_by_its_path(annotation, value, said):
    with pytest.raises(TypeError) as caught:
        called(define(f"x: {annotation}"), x=value)
    assert str(caught.value).startswith(said)


def test_all_faults_are_told_at_once():
    with pytest.raises(TypeError) as caught:
        called(define("a: int, *more: int, b: int, **others: float"), "x", 1, "y", b="z", c="w")
    assert str(caught.value) == (
        'main.args[0]: expected integer, got string "x"; main.args[2]: expected integer, got string "y"; '
        'main.kwargs.b: expected integer, got string "z"; main.kwargs.c: expected number, got string "w"'
    )


@pytest.mark.parametrize(
    ("signature", "args", "kwargs", "expected"),
    [
        ("a: Path, /, b: Path", ["a"], {"b": "b"}, "dict(a=Path('a'), b=Path('b'))"),
        ("*a: Path", ["a", "b"], {}, "dict(a=(Path('a'), Path('b')))"),
        ("**a: Path", [], {"b": "b", "c": "c"}, "dict(a=dict(b=Path('b'), c=Path('c')))"),
        ("**a: Unpack[Target]", [], {"when": "2026-11-25", "other": 1},
         "dict(a=dict(when=datetime(2026, 11, 25), other=1))"),
        ("*a: *tuple[Path, ...]", ["a"], {}, "dict(a=('a',))"),
        ("a: Path = 5", [], {}, "dict(a=5)"),
        ("a: list[Path] = ()", [], {}, "dict(a=())"),
        ("a, b: Path", [1], {"b": "b"}, "dict(a=1, b=Path('b'))"),
        ("a: 'unknown', b: 'Path'", ["a", "b"], {}, "dict(a='a', b=Path('b'))"),
    ],
)  # fmt: skip
def test_each_kind_of_parameter(signature, args, kwargs, expected):
    assert called(define(signature), *args, **kwargs) == eval(expected, vars(module))


def whole(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def kinds_of_callables():
    function = define("x: Path, y: Path = None")
    exec(
        textwrap.dedent(
            """
            class Kind:
                def __init__(self, x: Path): self.x = x
                def __call__(self, x: Path): return {"x": x}
                def method(self, x: Path): return {"x": x}
                @classmethod
                def of_class(cls, x: "Path"): return {"x": x}
                @staticmethod
                def static(x: "Path"): return {"x": x}
            async def coroutine(x: Path): return {"x": x}
            def generator(x: Path): yield x
            """
        ),
        vars(module),
    )
    kind = module.Kind("a")
    return {
        "function": function,
        "lambda": lambda x: {"x": x},
        "partial": functools.partial(function, y=1),
        "partial of partial": functools.partial(functools.partial(function, y=1), y=2),
        "wrapped": whole(function),
        "callable object": kind,
        "method": kind.method,
        "class method": module.Kind.of_class,
        "static method": module.Kind.static,
        "class": module.Kind,
        "coroutine function": module.coroutine,
        "generator function": module.generator,
        "builtin": print,
    }


CALLABLES = kinds_of_callables()


@pytest.mark.parametrize("kind", CALLABLES)
def test_whatever_can_be_called_has_its_annotations_read(kind):
    given = convert(CALLABLES[kind], ProcedureInput([], {"x": "a"}), "main")
    assert given.kwargs["x"] == ("a" if kind in ("lambda", "builtin") else module.Path("a"))


def test_what_does_not_fit_the_signature_is_left_to_the_call():
    with pytest.raises(TypeError, match=r"main\(\) got an unexpected keyword argument 'y'"):
        called(define("x: Path"), x="a", y=1)
    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        called(define("x: Path"), "a", 1)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        called(define("x: Path"))


# --- what was typed


@pytest.mark.parametrize(
    ("annotation", "text", "literal", "expected"),
    [
        ("str", "20260101_0001", 202601010001, "'20260101_0001'"),
        ("str", "None", None, "'None'"),
        ("str", "[1]", [1], "'[1]'"),
        ("str", '"5"', "5", "'\"5\"'"),
        ("Optional[str]", "None", None, "None"),
        ("Optional[str]", "5", 5, "'5'"),
        ("Name", "5", 5, "'5'"),
        ("Path", "007", 7, "Path('007')"),
        ("Decimal", "1.50", 1.5, "Decimal('1.50')"),
        ("datetime", "20261125", 20261125, "datetime(2026, 11, 25)"),
        ("timedelta", "5", 5, "timedelta(seconds=5)"),
        ("Literal['1', 2]", "1", 1, "'1'"),
        ("Literal['1', 2]", "2", 2, "2"),
        ("int", "5", 5, "5"),
        ("str | int", "5", 5, "5"),
        ("str | int", '"5"', "5", "'5'"),
        ("list[str]", "['5']", ["5"], "['5']"),
        ("Any", "5", 5, "5"),
        ("Plain", "5", 5, "5"),
        ("'unknown'", "5", 5, "5"),
    ],
)
def test_text_stays_text_where_the_annotation_says_so(annotation, text, literal, expected):
    for given in (
        ProcedureInput([literal], {}, Typed([text])),
        ProcedureInput([], {"x": literal}, Typed([], {"x": text})),
    ):
        made = convert(define(f"x: {annotation}"), given, "main")
        (value,) = [*made.args, *made.kwargs.values()]
        assert value == eval(expected, vars(module))
        assert type(value) is type(eval(expected, vars(module)))
