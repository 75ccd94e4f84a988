"""The command starts fast: it imports no server, no kernel and no IPython."""

import json
import subprocess
import sys

HEAVY = (
    "IPython", "ipykernel", "jupyter_server", "jupyter_client", "tornado", "traitlets", "zmq", "pubsub", "git", "yaml",
    "asyncio.unix_events", "sqlalchemy", "numpy",
)  # fmt: skip
LIST = f"""
import json, sys
from oet_kernel.cli import main
try:
    main(["procedure", "list", "--json"])
finally:
    print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""


def test_list_imports_no_server_and_no_ipython(served):
    done = subprocess.run([sys.executable, "-c", LIST], capture_output=True, text=True, timeout=30, check=True)
    procedures, heavy = done.stdout.splitlines()
    assert isinstance(json.loads(procedures), list), "it has done its work"
    assert json.loads(heavy) == []
