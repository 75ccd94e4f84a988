"""A record is a notebook that nbformat takes and nbconvert converts, whatever the notebook is like that was run."""

import json
import warnings

import nbformat
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from nbformat.validator import get_validator

from oet_kernel import topics
from oet_kernel.models import ProcedureInput
from oet_kernel.records import About, Recorder
from oet_kernel.records.allowed import DEPTH, notebook_cell, notebook_metadata, shallow, with_unique_ids
from oet_kernel.records.page import to_html
from oet_kernel.records.parts import encode
from tests.records.conftest import Script, summary_in

STATES = ("CREATING", "IDLE", "LOADING", "IDLE", "READY", "RUNNING", "READY", "COMPLETE")


pytestmark = pytest.mark.filterwarnings("ignore:Your element with mimetype")


def code(source="print('one')", **more):
    return {"cell_type": "code", "id": "a", "metadata": {}, "source": source, "outputs": [], **more}


def run_of(content, displays=()):
    """Return the record of a notebook whose code cells each print their number."""
    script = Script()
    script.say(topics.SCRIPT_LOADED, path="/n.ipynb", sha256="0", commit=None, source=json.dumps(content), by_cell=True)
    cells = content.get("cells")
    kinds = [cell.get("cell_type") for cell in cells if isinstance(cell, dict)] if isinstance(cells, list) else []
    for number in range(1, kinds.count("code") + 1):
        script.say(topics.CELL_STARTED, call="main", id="a", number=number, count=9, tags=[], source=None)
        script.write(f"{number}\n")
        for data, metadata in displays:
            script.say(topics.OUTPUT_DISPLAY, call="main", data=data, metadata=metadata)
    recorder = Recorder()
    for event in script.events:
        recorder.add(event)
    return encode(recorder.content(summary_in(*STATES, script_args={}), About()))


def strictly_valid(record):
    """Read a record, and check it as strictly as nbformat can."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        notebook = nbformat.reads(record.decode(), as_version=nbformat.NO_CONVERT)
        nbformat.validate(notebook)
    return notebook


def notebook(*cells, **metadata):
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": list(cells)}


@pytest.mark.parametrize(
    ("metadata", "kept"),
    [
        ({"kernelspec": {"name": "ir"}}, {"kernelspec": {"name": "ir", "display_name": "ir"}}),
        ({"kernelspec": {"name": "ir", "display_name": 3}}, {}),
        ({"kernelspec": {"display_name": "P", "language": "R"}}, {}),
        ({"kernelspec": None, "x": 1}, {"x": 1}),
        ({"kernelspec": []}, {}),
        ({"language_info": {"version": "3"}}, {}),
        ({"language_info": {"name": "python", "codemirror_mode": 3}}, {"language_info": {"name": "python"}}),
        ({"language_info": {"name": "python", "pygments_lexer": None}}, {"language_info": {"name": "python"}}),
        ({"title": 5, "authors": "me"}, {}),
        ({"orig_nbformat": 0}, {}),
        ({"language": 3}, {}),
        ({"widgets": None}, {}),
        ({"widgets": {"application/vnd.jupyter.widget-state+json": {"state": {}}}}, {}),
        ({"toc": {"a": [1, None]}, "title": "t"}, {"toc": {"a": [1, None]}, "title": "t"}),
        (None, {}),
        ([1], {}),
    ],
)
def test_metadata_of_a_notebook_keeps_what_is_allowed(metadata, kept):
    assert notebook_metadata(metadata) == kept


def test_language_that_the_kernelspec_tells_is_told_of_the_notebook():
    spec = {"name": "ir", "display_name": "R", "language": "R"}
    found = notebook_metadata({"kernelspec": spec, "language_info": {"file_extension": ".r"}})
    assert found["language_info"] == {"name": "R", "file_extension": ".r"}


@pytest.mark.parametrize(
    ("metadata", "kept"),
    [
        ({"tags": None}, {}),
        ({"tags": ["x", "x", 1, "", "a,b", None, ["x"]]}, {"tags": ["x"]}),
        ({"tags": "parameters"}, {}),
        ({"collapsed": None, "scrolled": "yes", "x": 1}, {"x": 1}),
        ({"name": ""}, {}),
        ({"jupyter": None}, {}),
        ({"execution": {"iopub.execute_input": 3, "x": "y"}}, {"execution": {"x": "y"}}),
        ({"transient": 1, "raw_mimetype": 3, "magics_language": []}, {}),
        ({"scrolled": "auto", "collapsed": True}, {"scrolled": "auto", "collapsed": True}),
    ],
)
def test_metadata_of_a_cell_keeps_what_is_allowed(metadata, kept):
    cell = {**code(), "execution_count": None, "metadata": metadata}
    assert notebook_cell(cell)["metadata"] == kept


@pytest.mark.parametrize(
    ("attachments", "kept"),
    [
        ({"a.png": None, "b.png": {"image/png": "x"}}, {"b.png": {"image/png": "x"}}),
        ({"a.png": {"image/png": 3, "text/plain": ["x"]}}, {"a.png": {"text/plain": ["x"]}}),
        ({"a.json": {"application/json": {"x": 1}}}, {"a.json": {"application/json": {"x": 1}}}),
    ],
)
def test_attachments_that_are_none_are_left_out(attachments, kept):
    cell = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "", "attachments": attachments}
    assert notebook_cell(cell)["attachments"] == kept


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["a", "b"], ["a", "b"]),
        (["a", "a", "a"], ["a", "a-cell", "a-cell-2"]),
        (["a", "a", "a-cell"], ["a", "a-cell-2", "a-cell"]),
        (["cell one", "é", ""], ["cell-one-cell", "--cell", "-cell"]),
        (["main", "heading", "console-3-by"], ["main-cell", "heading-cell", "console-3-by-cell"]),
        (["injected-parameters-1", "injected-parameters"], ["injected-parameters-1-cell", "injected-parameters"]),
        ([1, None, []], ["1", "None", "---cell"]),
        (["x" * 80, "x" * 81], ["x" * 48 + "-cell", "x" * 48 + "-cell-2"]),
    ],
)
def test_each_cell_has_an_id_of_its_own(ids, expected):
    assert [cell["id"] for cell in with_unique_ids([{"id": name} for name in ids])] == expected


@pytest.mark.parametrize(
    "cells",
    [
        [code("1", id="a"), code("2", id="a"), code("3", id="a")],
        [
            {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "t"},
            code("1", id="a"),
            code("2", id="a-cell"),
        ],
        [code("1", id="cell-2"), code("2", id=None), code("3", id="cell-3")],
        [code("1", id="x"), code("2", id="injected-parameters-1"), code("3", id="console-1")],
        [code("1", id="load"), code("2", id="main"), code("3", id="states")],
        [code("1", id=5), code("2", id="5"), code("3", id={"a": 1})],
    ],
)
def test_outputs_stand_in_the_cell_that_has_made_them_whatever_the_ids(cells):
    record = strictly_valid(run_of(notebook(*cells)))
    shown = {cell.source: [one.text for one in cell.outputs] for cell in record.cells if cell.cell_type == "code"}
    assert {name: texts for name, texts in shown.items() if texts} == {
        str(n): [f"{n}\n"] for n in range(1, sum(cell["cell_type"] == "code" for cell in cells) + 1)
    }


@pytest.mark.parametrize(
    ("data", "metadata"),
    [
        ({"image/png": "iVBO"}, {"image/png": None}),
        ({"image/png": "iVBO"}, {"image/png": {"width": [], "needs_background": 3}}),
        ({"image/jpeg": "x"}, {"filenames": 3}),
        ({"image/svg+xml": "<svg/>"}, {"filenames": {"image/svg+xml": "../../x"}, "tags": 3}),
        ({"model/gltf+json": {"a": 1}, "text/plain": None}, {}),
        ({"application/vnd.jupyter.widget-view+json": 3}, {}),
        ({"text/vnd.mermaid": 1, "text/latex": []}, {"isolated": None}),
        ({"text/markdown": "![x](attachment:x) ![y][y]\n\n[y]: attachment:y", "": "x", "application/json\n": 1}, {}),
        ({}, {}),
    ],
)
def test_display_of_any_kind_becomes_a_page(data, metadata):
    record = run_of(notebook(code()), [(data, metadata)])
    strictly_valid(record)
    assert b"Procedure 3" in to_html(record, "Procedure 3")


def test_image_that_is_not_attached_is_missing_on_the_page():
    text = "# Title\n\n![there](attachment:a.png) ![gone](attachment:b.png)"
    attached = {"a.png": {"image/png": "iVBO"}, "b.png": {}}
    cells = [{"cell_type": "markdown", "source": text, "attachments": attached}, {"cell_type": "raw", "source": "x"}]
    page = to_html(run_of(notebook(*cells)), "Procedure 3").decode()
    assert '<img alt="gone"' in page
    assert 'src="data:image/png;base64' not in page


@pytest.mark.parametrize(("open_", "close"), [("[", "]"), ('{"a":', "}")])
def test_values_within_values_without_end_become_a_page(open_, close):
    deep = open_ * 900 + "1" + close * 900
    content = json.dumps(notebook(code(metadata={"x": "DEEP"}), x="DEEP")).replace('"DEEP"', deep)
    script = Script()
    for topic, fields in (
        (topics.SCRIPT_LOADED, {"path": "/n.ipynb", "source": content, "by_cell": True}),
        (topics.CELL_STARTED, {"call": "main", "id": "a", "number": 1, "count": 1, "tags": [], "source": None}),
        (topics.OUTPUT_DISPLAY, {"call": "main", "data": {"application/json": "DEEP"}, "metadata": {"x": "DEEP"}}),
        ("user.x", {"value": "DEEP"}),
    ):
        script.say(topic, **fields)
    recorder = Recorder()
    for event in script.events:
        data = event.data.replace(b'"DEEP"', deep.encode())
        recorder.add(type(event)(event.seq, event.topic, event.procedure, data, event.at))
    asked = {"main": ProcedureInput([json.loads(deep)], {"x": json.loads(deep)})}
    record = encode(recorder.content(summary_in(*STATES, script_args=asked), About()))
    strictly_valid(record)
    to_html(record, "Procedure 3")


def test_values_keep_all_that_is_not_too_deep():
    value = {"a": [1, {"b": None}], "c": "x"}
    assert shallow(value) == value
    assert shallow(value, 2) == {"a": [1, "…"], "c": "x"}
    assert DEPTH < 200


# --- anything

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
SCHEMA = get_validator(4, 5)._schema
NAMED = st.dictionaries(
    st.sampled_from(["name", "display_name", "language", "version", "source_hidden", "width"]), JSON
)


def of(*names):
    """Make objects whose members have names that mean something, and any value."""
    return st.dictionaries(st.sampled_from(names), JSON | NAMED, max_size=4)


METADATA = of(*SCHEMA["properties"]["metadata"]["properties"], "widgets", "language", "oet", "celltoolbar")
CELL_METADATA = of(
    *SCHEMA["definitions"]["code_cell"]["properties"]["metadata"]["properties"],
    "format", "raw_mimetype", "magics_language", "transient", "slideshow", "oet", "hide_input",
)  # fmt: skip
MIME = st.sampled_from([
    "text/plain", "text/html", "text/markdown", "text/latex", "text/vnd.mermaid", "image/png", "image/jpeg",
    "image/svg+xml", "application/json", "application/pdf", "application/javascript", "model/x+json", "x", "",
    "application/vnd.jupyter.widget-view+json",
])  # fmt: skip
CELL = st.fixed_dictionaries(
    {"cell_type": st.sampled_from(["code", "code", "markdown", "raw", "other"]) | JSON},
    optional={
        "id": st.sampled_from(["a", "a b", "main", "cell-1", "console"]) | JSON,
        "metadata": CELL_METADATA | JSON,
        "source": TEXT | st.lists(TEXT, max_size=2) | JSON | st.just("![x](attachment:x)"),
        "attachments": st.dictionaries(TEXT, st.dictionaries(MIME, JSON, max_size=2) | JSON, max_size=2) | JSON,
        "outputs": JSON,
        "execution_count": JSON,
    },
)
NOTEBOOK = st.fixed_dictionaries(
    {"nbformat": st.just(4)}, optional={"metadata": METADATA | JSON, "cells": st.lists(CELL | JSON, max_size=5)}
)
DISPLAY = st.tuples(
    st.dictionaries(MIME, JSON, max_size=3), of("image/png", "text/html", "filenames", "tags", "width", "isolated")
)


@settings(max_examples=200, deadline=None)
@given(NOTEBOOK | JSON.filter(lambda value: isinstance(value, dict)), st.lists(DISPLAY, max_size=2))
def test_record_of_any_notebook_is_valid(content, displays):
    strictly_valid(run_of(content, displays))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=set(Phase) - {Phase.shrink}
)
@given(NOTEBOOK, st.lists(DISPLAY, max_size=2))
def test_record_of_any_notebook_becomes_a_page(content, displays):
    to_html(run_of(content, displays), "Procedure 3")
