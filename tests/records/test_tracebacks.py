"""Exceptions are read from tracebacks of any kind."""

import pytest

from oet_kernel.records.tracebacks import raised


@pytest.mark.parametrize(
    ("stacktrace", "name", "value"),
    [
        ("Traceback (most recent call last):\n  File ...\nValueError: x\ny: z\n", "ValueError", "x\ny: z"),
        ("ValueError: x", "ValueError", "x"),
        ("  File \"a\", line 1\n    def\n       ^\nSyntaxError: invalid syntax", "SyntaxError", "invalid syntax"),
        ("Traceback (most recent call last):\n  File ...\nKeyboardInterrupt", "KeyboardInterrupt", ""),
        ("The kernel process ended with SIGKILL.\nLast output:\nfoo: bar", "KernelDied",
         "The kernel process ended with SIGKILL."),
        ("", "KernelDied", ""),
    ],
)  # fmt: skip
def test_exception_is_read_from_its_traceback(stacktrace, name, value):
    assert raised(stacktrace) == (name, value)
