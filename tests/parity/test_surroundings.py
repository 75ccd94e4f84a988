"""A script, and each program that it starts, finds the environment variables that ``python script.py`` finds."""

import pytest

from tests.parity.both import compare

ASK = "import os\n"
SCRIPTS = {
    "no colours asked for": ASK + "def main(): print([os.environ.get(n) for n in ('FORCE_COLOR', 'CLICOLOR', 'TERM')])",
    "no pager named": ASK + "def main(): print([os.environ.get(name) for name in ('PAGER', 'GIT_PAGER')])",
    "the traceback of a thread without colours": """
        import threading
        def fail(): raise ValueError("in a thread")
        def main():
            thread = threading.Thread(target=fail, name="its own"); thread.start(); thread.join()
    """,
    "a warning without colours": "import warnings\ndef main(): warnings.warn('beware', stacklevel=1)",
    "a printed traceback without colours": """
        import traceback
        def main():
            try: 1 / 0
            except ZeroDivisionError: print(traceback.format_exc())
    """,
    "argparse without colours": """
        import argparse
        def main():
            parser = argparse.ArgumentParser(prog="scan"); parser.add_argument("--seconds", help="how long")
            parser.print_help()
    """,
    "a program without colours": """
        import subprocess, sys
        code = "import threading; thread = threading.Thread(target=lambda: 1 / 0, name='x'); thread.start()"
        def main(): print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr)
    """,
    "no others than our own": """
        import os
        def main(): print(sorted(n for n in os.environ if not n.startswith(("OET_", "PYTEST_")) and n != "MPLBACKEND"))
    """,
}


@pytest.mark.parametrize("what", SCRIPTS)
def test_script_finds(side, tmp_path, what):
    compare(side, tmp_path, SCRIPTS[what])
