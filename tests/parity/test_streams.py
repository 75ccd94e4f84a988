# ruff: noqa: E501 - a script is a line of its table
"""Standard output and error are those of ``python -u script.py 2>&1 | cat``: text files on descriptors, in order."""

import subprocess
import sys

import pytest

from tests.conftest import DEADLINE
from tests.parity.both import Procedure, as_procedure, compare, write

HEAD = (
    "import contextlib, ctypes, faulthandler, gc, io, logging, multiprocessing, os, shutil, signal, subprocess, sys, threading\n"
    "libc = ctypes.CDLL(None); held = ctypes.PyDLL(None)\n"
    "def sh(command, **options): subprocess.run(['sh', '-c', command], check=True, **options)\n"
)

FILES = {
    "buffer": "sys.stdout.buffer.write(b'bytes\\n'); sys.stdout.buffer.flush()",
    "buffer, part of a line": "sys.stdout.buffer.write(b'part'); print(' and rest')",
    "buffer, no text": "sys.stdout.buffer.write(bytes([0x63, 0xc3, 0xa9, 10]))",
    "text over the buffer": (
        "out = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8'); out.write('over\\n'); out.flush(); out.detach()"
    ),
    "buffered over the buffer": "out = io.BufferedWriter(sys.stdout.buffer); out.write(b'over\\n'); out.flush(); out.detach()",
    "copied to": "shutil.copyfileobj(io.BytesIO(b'copied\\n'), sys.stdout.buffer)",
    "writelines": "sys.stdout.writelines(['a\\n', 'b\\n']); sys.stderr.writelines(['c\\n'])",
    "reconfigured": "sys.stdout.reconfigure(line_buffering=True); print('a'); sys.stdout.reconfigure(encoding='ascii', errors='replace'); print('caf\\xe9')",
    "reconfigured newline": "sys.stdout.reconfigure(newline='\\r\\n'); print('a')",
    "opened anew": "sys.stdout = open(sys.stdout.fileno(), 'w', buffering=1, closefd=False); print('anew')",
    "opened by its device": "open('/dev/stdout', 'w').write('device\\n'); open('/dev/stderr', 'w').write('device\\n')",
    "attributes": (
        "print(sys.stdout.name, sys.stdout.mode, sys.stdout.encoding, sys.stdout.writable(), sys.stdout.readable(),"
        " sys.stdout.isatty(), sys.stdout.closed, sys.stdout.fileno(), sys.stderr.fileno(), sys.stdout.newlines)"
    ),
    "the first ones": "print(sys.__stdout__ is sys.stdout, sys.__stderr__ is sys.stderr); sys.__stdout__.write('first\\n')",
    "closed": "print('a'); sys.stdout.close()",
    "closed, then printed to": "sys.stdout.close()\n    try: print('b')\n    except ValueError as error: sys.stderr.write(f'{error}\\n')",
    "both closed": "print('a'); sys.stdout.close(); sys.stderr.close()",
    "closed at the end of a block": "with sys.stdout as out: out.write('a\\n')",
    "deleted": "print('a'); del sys.stdout; print('nowhere') if hasattr(sys, 'stdout') else sys.stderr.write('gone\\n')",
    "None": "sys.stdout = None; print('nowhere')",
    "replaced": "sys.stdout = io.StringIO(); print('kept'); sys.stderr.write(sys.stdout.getvalue())",
    "replaced for a while": "with contextlib.redirect_stdout(sys.stderr): print('to the other')",
    "replaced by a file": "sys.stdout = open(HERE / 'log', 'w'); print('in the file')",
    "descriptor led to a file": "log = os.open(HERE / 'log', os.O_WRONLY | os.O_CREAT); sys.stdout.flush(); os.dup2(log, 1); print('in the file'); sh('echo too'); sys.stdout.flush()",
    "descriptor led away and back": "kept = os.dup(1); log = os.open(HERE / 'log', os.O_WRONLY | os.O_CREAT); os.dup2(log, 1); print('in the file', flush=True); os.dup2(kept, 1); print('back')",
    "descriptor closed": "os.close(1); sys.stderr.write('b\\n'); sys.stdout = None",
    "a flush without a line end": "sys.stdout.write('no end'); sys.stdout.flush()",
    "no line end at the end": "sys.stdout.write('no end')",
    "carriage returns": "[print(f'{n}%', end='\\r', flush=True) for n in range(5)]",
    "null bytes": "print('a\\0b')",
    "much": "print('x' * 1_000_000)",
    "left in the buffer of C": "libc.printf(b'in C\\n'); sys.stderr.write('b\\n')",
    "left in the buffer of C by a child": "pid = os.fork()\n    if not pid: libc.printf(b'in C\\n'); sys.exit(0)\n    os.waitpid(pid, 0)",
    "many lines": "[print(n) for n in range(20_000)]",
    "text that is no text": "try: sys.stdout.write(b'x')\n    except TypeError as error: print(error)",
    "line separators": "print('a\\u2028b\\x85c\\x0bd')",
}  # fmt: skip


@pytest.mark.parametrize("what", FILES)
def test_stream_is_the_text_file_that_it_is_in_a_plain_process(side, tmp_path, what):
    compare(side, tmp_path, f"def main():\n    {FILES[what]}\n", head=HEAD)


BETTER = {
    "raw, as where it is buffered": ("sys.stdout.buffer.raw.write(b'raw\\n')", "raw\n"),
    "non-blocking": ("os.set_blocking(1, False); print('x' * 300_000)", "x" * 300_000 + "\n"),
    "detached": ("raw = sys.stdout.detach(); raw.write(b'detached\\n'); raw.flush()", "detached\n"),
    "replaced by what cannot be flushed": (
        "class Bad:\n        def flush(self): raise OSError('full')\n    print('a'); sys.stdout = Bad()",
        "a\n",
    ),
    "surrogates that are no bytes": ("print('\\ud800a\\udfffb')", "\ufffda\ufffdb\n"),
    "a lone surrogate": ("print('caf\\udce9')", "caf\ufffd\n"),
}


@pytest.mark.parametrize("what", BETTER)
def test_what_plain_python_fails_by_at_its_end_or_loses_is_written(side, tmp_path, what):
    text, told = BETTER[what]
    here = as_procedure(side, tmp_path, f"def main():\n    {text}\n", head=HEAD)
    assert here.state == "COMPLETE", here.stacktrace
    assert here.ran.stdout == told


@pytest.mark.parametrize("where", ["at import", "init", "main"])
@pytest.mark.parametrize("end", ["sys.stdout.close()", "sys.stderr.close()", "del sys.stderr", "os.closerange(1, 3)"])
def test_procedure_ends_whatever_becomes_of_its_streams(side, tmp_path, where, end):
    text = {
        "at import": f"{end}\ndef main(): (HERE / 'done').write_text('x')",
        "init": f"def init(): {end}\ndef main(): (HERE / 'done').write_text('x')",
        "main": f"def main(): {end}; (HERE / 'done').write_text('x')",
    }[where]
    _, here = compare(side, tmp_path, text, head=HEAD)
    assert here.state == "COMPLETE"


def merged(here: Procedure) -> str:
    """Put what a procedure has written together, in the order of its events."""
    return "".join(e["data"]["text"] for e in here.events if e["topic"] == "procedure.output.stream")


BELOW = {
    "os.write": "os.write(1, b'below\\n')",
    "os.write by name": "os.write(sys.stdout.fileno(), b'below\\n')",
    "os.write to the other": "os.write(2, b'below\\n')",
    "C": "libc.write(1, b'below\\n', 6)",
    "C, buffered": "libc.printf(b'below\\n'); libc.fflush(None)",
    "C that keeps the GIL": "held.write(1, b'below\\n', 6)",
    "a subprocess": "sh('echo below')",
    "a subprocess to the other": "sh('echo below >&2')",
    "a subprocess to a device": "sh('echo below > /dev/stderr')",
    "a subprocess to its own device": "sh('echo below > /dev/stdout; echo more')",
    "a subprocess that truncates": "sh('echo one >&2; echo two > /dev/stderr; echo three >&2')",
    "a subprocess given the stream": "sh('echo below', stdout=sys.stdout)",
    "a subprocess given the other": "sh('echo below', stdout=sys.stderr)",
    "a subprocess with both as one": "sh('echo a; echo b >&2; echo c', stderr=subprocess.STDOUT)",
    "os.system": "os.system('echo below')",
    "os.fork": "pid = os.fork()\n        if not pid: os.write(1, b'below\\n'); os._exit(0)\n        os.waitpid(pid, 0)",
    "os.fork that prints": "pid = os.fork()\n        if not pid: print('below', flush=True); os._exit(0)\n        os.waitpid(pid, 0)",
    "multiprocessing": "one = multiprocessing.get_context('fork').Process(target=print, args=['below']); one.start(); one.join()",
    "logging": "logging.getLogger('a').warning('below')",
    "a thread": "one = threading.Thread(target=print, args=['below']); one.start(); one.join()",
    "a signal handler": "signal.signal(signal.SIGUSR1, lambda *_: print('below')); os.kill(os.getpid(), signal.SIGUSR1)",
    "faulthandler": "faulthandler.dump_traceback(); sys.stderr.flush()",
    "the buffer": "sys.stdout.buffer.write(b'below\\n'); sys.stdout.buffer.flush()",
}  # fmt: skip


@pytest.mark.parametrize("what", BELOW)
def test_order_is_that_of_one_pipe(side, tmp_path, what):
    text = f"def main():\n    for n in range(5):\n        print('out', n)\n        {BELOW[what]}\n        print('err', n, file=sys.stderr)\n"
    plain = write(tmp_path / "plain", text, head=HEAD)
    done = subprocess.run(
        [sys.executable, "-u", str(plain)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE
    )
    here = as_procedure(side, tmp_path / "here", text, head=HEAD)
    assert here.state == "COMPLETE", here.stacktrace
    if what == "faulthandler":  # it shows what calls the script, which differs
        assert [line.split()[0] for line in merged(here).splitlines() if line.startswith(("out", "err", "Current"))] == [
            "out", "Current", "err",
        ] * 5  # fmt: skip
    else:
        assert merged(here) == done.stdout.decode()


MUCH = {
    "C without giving up the GIL": "held.write(1, b'1' * 1_000_000 + b'\\n', 1_000_001)",
    "C without giving up the GIL, to the other": "held.write(2, b'1' * 1_000_000 + b'\\n', 1_000_001)",
    "C, buffered": "held.printf(b'%0*d\\n', 1_000_000, 1); held.fflush(None)",
    "os.write": "left = memoryview(b'1' * 1_000_000)\n    while left: left = left[os.write(1, left):]",
    "a subprocess": "sh('head -c 1000000 /dev/zero | tr \"\\\\0\" 1')",
    "both at once": "sh('head -c 500000 /dev/zero | tr \"\\\\0\" 1 & head -c 500000 /dev/zero | tr \"\\\\0\" 1 >&2; wait')",
    "many small writes": "[held.write(1, b'0123456789', 10) for _ in range(100_000)]",
    "in a handler amid a print": (
        "signal.signal(signal.SIGALRM, lambda *_: print('2' * 200_000)); signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)\n"
        "    for _ in range(50): print('1' * 20_000)\n    signal.setitimer(signal.ITIMER_REAL, 0)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", MUCH)
def test_what_is_more_than_a_pipe_holds_goes_on(side, tmp_path, what):
    here = as_procedure(side, tmp_path, f"def main():\n    {MUCH[what]}\n    print('END')\n", head=HEAD)
    assert here.state == "COMPLETE", here.stacktrace
    written = here.ran.stdout + here.ran.stderr
    assert sum(map(str.isdigit, written)) >= 1_000_000
    assert here.ran.stdout.endswith("END\n")


CUT = {
    "two bytes of one character apart": (b"caf\xc3", b"\xa9\n", "café\n"),
    "three of four": (b"\xf0\x9f\x98", b"\x80\n", "\N{GRINNING FACE}\n"),
    "no UTF-8": (b"caf\xe9", b"\n", "caf\ufffd\n"),
    "a surrogate as bytes": (b"\xed\xb3\xa9", b"\n", "\ufffd\ufffd\ufffd\n"),
    "the first byte alone at the end": (b"caf", b"\xc3", "caf\ufffd"),
    "nothing but such a byte": (b"", b"\xff", "\ufffd"),
}


@pytest.mark.parametrize("what", CUT)
def test_bytes_that_are_no_text_are_replaced_and_characters_are_never_cut(side, tmp_path, what):
    first, second, told = CUT[what]
    text = f"def main():\n    for part in ({first!r}, {second!r}):\n        os.write(1, part); api.publish('user.script.announce', msg='x')\n"
    here = as_procedure(side, tmp_path, text, head=HEAD + "from oet_kernel import api\n")
    assert here.state == "COMPLETE"
    assert here.ran.stdout == told


FATAL = {
    "enabled": "faulthandler.enable()",
    "of one thread": "faulthandler.enable(all_threads=False)",
    "with a file": "faulthandler.enable(file=sys.stderr)",
    "with a descriptor": "faulthandler.enable(2)",
    "disabled and enabled": "faulthandler.disable(); faulthandler.enable()",
    "not at all": "pass",
}


@pytest.mark.parametrize("what", FATAL)
def test_crash_is_told_with_its_place_whoever_has_enabled_faulthandler(side, tmp_path, what):
    text = f"{FATAL[what]}\ndef place(): ctypes.string_at(0)\ndef main(): print('before'); place()\n"
    here = as_procedure(side, tmp_path, text, head=HEAD)
    assert here.state == "FAILED"
    assert "place" in here.stacktrace
    assert here.ran.stdout == "before\n"


def test_last_words_of_compiled_code_are_output(side, tmp_path):
    text = "def main(): libc.printf(b'buffered\\n'); libc.fflush(None); held.write(2, b'stderr\\n', 7); os.kill(os.getpid(), 9)"
    here = as_procedure(side, tmp_path, text, head=HEAD)
    assert here.state == "FAILED"
    assert (here.ran.stdout, here.ran.stderr) == ("buffered\n", "stderr\n")
