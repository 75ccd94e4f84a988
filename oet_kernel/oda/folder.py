"""Data archive in a folder: definitions and instances are JSON files."""

import re
import time
from pathlib import Path
from typing import Any

import msgspec

from oet_kernel.errors import ResourceNotFound

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class FolderArchive:
    """Archive in a folder, with definitions in ``<sbd_id>.json`` and executed instances in ``instances/<sbi_id>.json``.

    Parameters
    ----------
    folder
        Path of the folder, which must exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def definition(self, sbd_id: str) -> dict[str, Any]:
        """Read a scheduling block definition.

        Raises
        ------
        ResourceNotFound
            When there is no file for this id.
        """
        path = self._folder / f"{sbd_id}.json"
        if not _ID.fullmatch(sbd_id) or not path.is_file():
            raise ResourceNotFound(f"No information available for SBD {sbd_id}")
        definition: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        return definition

    def record_instance(self, sbd_id: str, activity_name: str) -> str:
        """Record the execution of a block; return the id of the instance, new in this archive."""
        instances = self._folder / "instances"
        instances.mkdir(exist_ok=True)
        day = time.strftime("%Y%m%d", time.gmtime())
        number = sum(1 for _ in instances.glob(f"sbi-oet-{day}-*.json"))
        while True:
            number += 1
            sbi_id = f"sbi-oet-{day}-{number:05d}"
            record = {"sbi_id": sbi_id, "sbd_ref": sbd_id, "activity": activity_name, "created_on": time.time()}
            try:
                with open(instances / f"{sbi_id}.json", "xb") as file:
                    file.write(msgspec.json.encode(record))
            except FileExistsError:
                continue
            return sbi_id
