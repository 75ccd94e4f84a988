"""Writes notebooks for tests: each cell a pair of its tags and its text."""

import json

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
