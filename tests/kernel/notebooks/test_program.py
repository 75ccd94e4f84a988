"""Arguments of a notebook that is run cell by cell are variables of its cells, or are refused by their name."""

import json

import pytest

from oet_kernel.kernel.notebooks.program import NotebookProgram
from oet_kernel.models import ProcedureInput
from oet_kernel.scripts.notebook import read_notebook


class Cells:
    """Keeps what is run."""

    name = None

    def __init__(self):
        self.ran = []

    def run(self, name, source):
        self.ran.append(source)

    def assignments(self, values):
        return json.dumps(values)


class Publisher:
    call = "main"

    def synchronise(self):
        pass


def program(tmp_path, language="python"):
    cells = Cells()
    document = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "any", "language": language}},
        "cells": [{"cell_type": "code", "id": "a", "metadata": {}, "source": "1"}],
    }
    notebook = read_notebook(json.dumps(document).encode())
    made = NotebookProgram(
        tmp_path / "n.ipynb", notebook, (), cells, Publisher(), lambda topic, fields: None, lambda name: None
    )
    return made, cells.ran


def hand_over(made, call, name):
    getattr(made, call)(ProcedureInput([], {name: 1}))


CALLS = ["hold", "init", "main"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "name", ["class", "lambda", "None", "True", "import", "async", "__debug__", "a-b", "1a", "", "a.b"]
)
def test_what_no_variable_can_be_named_is_refused_by_its_name_before_anything_runs(tmp_path, call, name):
    made, ran = program(tmp_path)
    why = f"'{name}' is not a valid argument of a notebook: (arguments are|{name} is a keyword)"
    with pytest.raises(TypeError, match=why):
        hand_over(made, call, name)
    assert ran == []


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", ["match", "type", "_", "case", "print", "größe", "subarray_id"])
def test_what_a_variable_can_be_named_is_taken(tmp_path, call, name):
    hand_over(program(tmp_path)[0], call, name)


def test_keywords_of_python_are_names_in_another_language(tmp_path):
    made, ran = program(tmp_path, language="bash")
    hand_over(made, "main", "class")
    assert ran == ['{"class": 1}', "1"]
