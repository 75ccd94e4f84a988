"""Interrupts `oet run` and `oet serve` at every moment, and looks for what they leave.

``python -m tests.faults.interrupted {run,serve} [--signal SIGINT] [--twice] [--step 0.02] [--until 3] [--busy 4]``; the
exit status is 1 where a process or a folder was left, a command hung, or a traceback of the command was shown. Busy
loops beside it stretch a start, so that the moments are finer.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import psutil

from tests.conftest import DEADLINE

_MARK = "OET_TEST_MARK"
_COMMANDS = {"run": ["run", "script.py"], "serve": ["serve", "--port=0"]}
_BETWEEN = 0.1
"""Seconds between the first and the second signal."""


def interrupt(words: list[str], signum: int, delay: float, *, twice: bool) -> list[str]:
    """Start a command, signal it after so many seconds; gives what is wrong afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder, mark = Path(name), uuid.uuid4().hex
        for each in ("tmp", "run"):
            (folder / each).mkdir(mode=0o700)
        (folder / "script.py").write_text("import threading\ndef main(): threading.Event().wait()\n")
        own = {"HOME": name, "TMPDIR": f"{name}/tmp", "XDG_RUNTIME_DIR": f"{name}/run", _MARK: mark}
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("OET_")}
        argv = [sys.executable, "-m", "oet_kernel.cli.entry", *words]
        process = subprocess.Popen(
            argv, cwd=folder, env={**inherited, **own}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        time.sleep(delay)
        process.send_signal(signum)
        if twice:
            time.sleep(_BETWEEN)
            process.send_signal(signum)
        wrong = []
        try:
            _, err = process.communicate(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            _, err = process.communicate()
            wrong.append("it did not end")
        if "Traceback" in err and "entry.py" in err:  # before that, Python itself was being started
            wrong.append(err)
        marked = [one for one in psutil.process_iter() if _has(one, mark)]
        for one in psutil.wait_procs(marked, timeout=DEADLINE)[1]:
            wrong.append(f"process left: {one}")
            one.kill()
        wrong += [f"folder left: {left.name}" for each in ("tmp", "run") for left in (folder / each).iterdir()]
        return wrong


def _has(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(_MARK) == mark
    except psutil.Error:
        return False


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=_COMMANDS)
    parser.add_argument("--signal", default="SIGINT", choices=["SIGINT", "SIGTERM", "SIGHUP"])
    parser.add_argument("--twice", action="store_true", help=f"again after {_BETWEEN} s")
    parser.add_argument("--step", type=float, default=0.02, help="seconds between moments")
    parser.add_argument("--until", type=float, default=3.0, help="the last moment, in seconds")
    parser.add_argument("--busy", type=int, default=0, help="processes that do nothing but take time, beside it")
    options = parser.parse_args()
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.busy)]
    try:
        sys.exit(not sweep(options))
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def sweep(options: argparse.Namespace) -> bool:
    """Interrupt a command at every moment; gives whether nothing was left, ever."""
    moments = [n * options.step for n in range(int(options.until / options.step) + 1)]
    sound = 0
    for moment in moments:
        wrong = interrupt(_COMMANDS[options.command], getattr(signal, options.signal), moment, twice=options.twice)
        sound += not wrong
        if wrong:
            print(f"after {moment:.2f} s: {'; '.join(wrong)}", flush=True)
    print(f"{sound} of {len(moments)} left nothing")
    return sound == len(moments)


if __name__ == "__main__":
    main()
