"""A script is shown the warnings that it is shown under plain Python, and no others."""

import pytest

from tests.parity.both import compare

HEAD = "import os, threading, warnings\nimport beside\n"
BESIDE = """
import warnings
def own(): warnings.warn("of the module beside", DeprecationWarning)
def of_caller(): warnings.warn("of its caller", DeprecationWarning, stacklevel=2)
"""
FORK = """
def fork():
    child = os.fork()
    if child == 0: os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""
BESIDE_THREAD = """
over = threading.Event()
def beside_thread():
    thread = threading.Thread(target=over.wait); thread.start()
    fork()
    over.set(); thread.join()
"""
SHOWN = {
    "its own": "def main(): warnings.warn('old', DeprecationWarning)",
    "its own at import and in init": "warnings.warn('old', DeprecationWarning)\n"
    "def init(): warnings.warn('older', DeprecationWarning)\ndef main(): pass",
    "what a function says of its caller": "def main(): beside.of_caller()",
    "what another module says of itself": "def main(): beside.own()",
    "the other kinds": "def main():\n    for one in (PendingDeprecationWarning, ResourceWarning, ImportWarning, "
    "FutureWarning, UserWarning, BytesWarning, RuntimeWarning): warnings.warn(one.__name__, one)",
    "once at each place": "def main():\n    for _ in range(3): warnings.warn('old', DeprecationWarning)\n"
    "    warnings.warn('old', DeprecationWarning)",
    "none after simplefilter": "def main():\n    warnings.simplefilter('ignore')\n    beside.of_caller()",
    "all after simplefilter": "def main():\n    warnings.simplefilter('always')\n    beside.own(); beside.own()",
    "an error": "warnings.filterwarnings('error', category=DeprecationWarning)\n"
    "def main():\n    try: beside.of_caller()\n    except DeprecationWarning as error: print('caught', error)",
    "those that are caught": "def main():\n    with warnings.catch_warnings(record=True) as caught:\n"
    "        beside.of_caller()\n    print(len(caught))",
    "an escape that is none": r"def main(): print('\d')",
    "a fork": FORK + "def main(): fork()",
    "a fork in init": FORK + "def init(): fork()\ndef main(): fork()",
    "a fork at import": FORK + "fork()\ndef main(): pass",
    "a fork beside a thread": FORK + BESIDE_THREAD + "def main(): beside_thread()",
    "a fork beside a thread, after one without": FORK + BESIDE_THREAD + "def main(): fork(); beside_thread()",
    "a fork after a thread": FORK + BESIDE_THREAD + "def main(): beside_thread(); fork()",
    "a fork in a thread": FORK + "def main():\n    one = threading.Thread(target=fork); one.start(); one.join()",
    "a fork beside a daemon": FORK + "def main():\n"
    "    threading.Thread(target=threading.Event().wait, daemon=True).start()\n    fork()",
    "a fork of a child": FORK + "def main():\n    child = os.fork()\n    if child == 0: fork(); os._exit(0)\n"
    "    print(os.waitpid(child, 0)[1])",
    "a terminal of its own": "import pty\ndef main():\n    child, end = pty.fork()\n    if child == 0: os._exit(0)\n"
    "    print(os.waitpid(child, 0)[1])",
}


@pytest.mark.parametrize("what", SHOWN)
def test_warnings_are_those_of_a_plain_process(side, tmp_path, what):
    compare(side, tmp_path, SHOWN[what], head=HEAD, files={"beside.py": BESIDE})
