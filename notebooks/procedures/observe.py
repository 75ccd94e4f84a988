"""Observe a scheduling block: allocate, configure and run each scan of its sequence, release.

    oet run notebooks/procedures/observe.py --sb=notebooks/procedures/sbd-mid.json

The block is a JSON file, named by `sb` when the procedure is created, or by `sb_json` when it is started (as activities
do). Events go out through PyPubSub, as existing observing scripts send them; without the service they reach nobody, and
the script runs all the same. Scans are simulated: a scan of 60 s takes 1 s at the default `speed` of 60. It can be
paused before each scan, at the checkpoints `scan 1`, `scan 2` and so on.
"""

import json
import threading
import time
from pathlib import Path

from pubsub import pub

try:
    from oet_kernel.api import checkpoint
except ImportError:  # run by hand where the service is not installed: nobody asks for a pause

    def checkpoint(name):
        """Go on."""


TELESCOPES = ("ska_mid", "ska_low")


def init(subarray_id: int = 1, sb: Path | None = None, speed: float = 60):
    """Read the scheduling block, if it is named by now.

    Parameters
    ----------
    subarray_id
        Subarray to observe with.
    sb
        Path of the scheduling block, a JSON file.
    speed
        How many times faster than real a scan is.
    """
    global subarray, block, pace
    if speed <= 0:
        raise ValueError(f"speed is {speed}; it must be more than 0: how many times faster than real a scan is")
    subarray, pace = subarray_id, speed
    block = read_block(sb) if sb else None


def main(sb_json: Path | None = None, sbi_id: str | None = None):
    """Observe the scheduling block.

    Parameters
    ----------
    sb_json
        Path of the scheduling block; wins over the one that init was given.
    sbi_id
        Id of the block's instance in the archive; without it that of the block.
    """
    sb = read_block(sb_json) if sb_json else block
    if sb is None:
        raise ValueError("There is nothing to observe: give the path of a scheduling block as sb or sb_json")
    sb_id = sbi_id or sb["sbd_id"]
    say("user.script.announce", msg=f"Observing {sb_id} with {sb['telescope']} on subarray {subarray}")
    say("subarray.resources.allocated", subarray_id=subarray)
    say("sb.lifecycle.allocated", sb_id=sb_id)
    say("sb.lifecycle.observation.started", sb_id=sb_id)
    try:
        definitions = {scan["scan_definition_id"]: scan for scan in sb["scan_definitions"]}
        for scan_id, definition_id in enumerate(sb["scan_sequence"], 1):
            checkpoint(f"scan {scan_id}")
            observe(sb_id, scan_id, definitions[definition_id], len(sb["scan_sequence"]))
    except BaseException:
        say("sb.lifecycle.observation.finished.failed", sb_id=sb_id)
        raise
    else:
        say("sb.lifecycle.observation.finished.succeeded", sb_id=sb_id)
    finally:
        # an interrupted observation gives its resources back too
        say("subarray.resources.deallocated", subarray_id=subarray)


def observe(sb_id, scan_id, definition, scans):
    """Configure for a scan and run it."""
    say("scan.lifecycle.configure.started", sb_id=sb_id, scan_id=scan_id)
    say("subarray.configured", subarray_id=subarray)
    say("scan.lifecycle.configure.complete", sb_id=sb_id, scan_id=scan_id)
    seconds = definition["scan_duration_ms"] / 1000
    say("user.script.announce", msg=f"Scan {scan_id}/{scans}: {definition['target_ref']} for {seconds:g} s")
    say("scan.lifecycle.start", sb_id=sb_id)
    say("subarray.scan.started", subarray_id=subarray)
    try:
        time.sleep(seconds / pace)
    except BaseException:
        say("scan.lifecycle.end.failed", sb_id=sb_id, scan_id=scan_id)
        raise
    say("subarray.scan.finished", subarray_id=subarray)
    say("scan.lifecycle.end.succeeded", sb_id=sb_id, scan_id=scan_id)


def say(topic, **fields):
    """Announce a step. The service names the script's main thread after the procedure's id."""
    pub.sendMessage(topic, msg_src=threading.current_thread().name, **fields)


def read_block(path):
    """Read and check a scheduling block; its name is that of the file until an archive has given it an id."""
    path = Path(path)
    try:
        sb = json.loads(path.read_text())
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no scheduling block at {path.absolute()}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    sb.setdefault("sbd_id", path.stem)
    check(sb.get("telescope") in TELESCOPES, path, f"$.telescope is {sb.get('telescope')!r}, not one of {TELESCOPES}")
    for key in ("targets", "scan_definitions", "scan_sequence"):
        check(isinstance(sb.get(key), list) and sb[key], path, f"$.{key} is missing or empty")
    targets = {target["target_id"] for target in sb["targets"]}
    for n, scan in enumerate(sb["scan_definitions"]):
        where = f"$.scan_definitions[{n}]"
        for key in ("scan_definition_id", "scan_duration_ms", "target_ref"):
            check(key in scan, path, f"{where}.{key} is missing")
        check(scan["scan_duration_ms"] >= 0, path, f"{where}.scan_duration_ms is negative")
        check(scan["target_ref"] in targets, path, f"{where}.target_ref: there is no target {scan['target_ref']!r}")
    known = {scan["scan_definition_id"] for scan in sb["scan_definitions"]}
    for n, name in enumerate(sb["scan_sequence"]):
        check(name in known, path, f"$.scan_sequence[{n}]: there is no scan definition {name!r}")
    return sb


def check(holds, path, complaint):
    if not holds:
        raise ValueError(f"Scheduling block {path}: {complaint}")
