"""Writes notebooks for tests, each cell a pair of its tags and its text; runs them by nbclient."""

import json
from typing import Any

import nbclient

TEXT = "text"
"""Stands for the tags of a cell that is no code."""


def notebook(*cells, kernel="python3", language="python", **metadata):
    """Give a notebook file; ids of its cells are a, b, c, ..."""
    kernelspec = {"name": kernel, "language": language, "display_name": kernel}
    made = [
        {"id": name, "cell_type": "markdown", "metadata": {}, "source": text}
        if tags == TEXT
        else {
            "id": name,
            "cell_type": "code",
            "metadata": {"tags": tags.split()},
            "source": text,
            "outputs": [],
            "execution_count": None,
        }
        for name, (tags, text) in zip("abcdefghijklmnop", cells, strict=False)
    ]
    return json.dumps(
        {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernelspec, **metadata}, "cells": made}
    )


def execute(book: Any, folder: Any, **options: Any) -> None:
    """Run a notebook by nbclient in a folder, which changes the notebook.

    Once more where its kernel did not come up: nbclient's kernels listen on TCP, and between the choice of a port and
    its use another test may take it.
    """
    for left in (2, 1, 0):
        client = nbclient.NotebookClient(book, resources={"metadata": {"path": str(folder)}}, **options)
        try:
            client.execute()
            return
        except RuntimeError as error:
            if not left or not any(words in str(error) for words in ("died before replying", "didn't respond")):
                raise
