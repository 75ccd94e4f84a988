"""Names and texts of exceptions, parsed from their tracebacks; pure."""

import re

_RAISED = re.compile(r"(?P<name>[\w.]*\w)(?:: ?(?P<value>.*)|\n.*)?\Z", re.DOTALL)
_GROUP = re.compile(r"^ *[+|] ?", re.MULTILINE)


def raised(stacktrace: str) -> tuple[str, str]:
    """Read the name and the text of an exception from its traceback.

    Parameters
    ----------
    stacktrace
        Traceback as Python prints it, or a description of the kernel's end.

    Returns
    -------
    tuple of str
        Name and text; ``KernelDied`` and the first line where the text is not a traceback.
    """
    # the text of the last traceback begins where its frames, which are indented, end
    text = _GROUP.sub("", stacktrace.rstrip()) if stacktrace.startswith("  +") else stacktrace.rstrip()
    last = text.rpartition("Traceback (most recent call last):\n")[2].split("\n")
    begin = next((at for at, line in enumerate(last) if line and not line.startswith(" ")), 0)
    found = _RAISED.match("\n".join(last[begin:]))
    if found is None:
        return "KernelDied", last[begin]
    return found["name"].rpartition(".")[2], found["value"] or ""
