"""Scripts in local files, and the folders that they may come from."""

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from oet_kernel.errors import MalformedRequest, ScriptNotAllowed


def resolve(script_uri: str, roots: Sequence[Path], where: str = "$.script.script_uri") -> Path:
    """Return the real path of a script.

    ``..`` and symbolic links are resolved before the check, and only the resolved path is used afterwards: a link that
    is changed later has no effect.

    Parameters
    ----------
    script_uri
        ``file:///absolute/path.py``.
    roots
        Folders that scripts may come from; empty for any.
    where
        JSON path of the URI in the request, for the message.

    Returns
    -------
    Path
        Absolute; the file may not exist.

    Raises
    ------
    MalformedRequest
        When the URI is not valid.
    ScriptNotAllowed
        When the path lies outside the folders.
    """
    scheme, separator, rest = script_uri.partition("://")
    host, slash, encoded = rest.partition("/")
    if scheme.lower() != "file" or not separator or host not in ("", "localhost") or not slash:
        raise MalformedRequest(
            f"Incorrect prefix for FileSystemScript: {script_uri}",
            f"{where}: expected file:// and an absolute path",
        )
    path = f"/{unquote(encoded)}"
    if "\0" in path or "?" in encoded or "#" in encoded:
        raise MalformedRequest(
            f"Cannot use script {script_uri!r}",
            f"{where}: a path with ?, # or % in it must be percent-encoded",
        )
    found = Path(os.path.realpath(path))  # unlike Path.resolve, accepts a loop of links
    if roots and not any(found.is_relative_to(root.resolve()) for root in roots):
        allowed = ", ".join(str(root) for root in roots)
        raise ScriptNotAllowed(f"Script {script_uri} is not in an allowed folder; move the script to one of: {allowed}")
    return found


def check_folder(folder: str, own_folder: bool) -> None:
    """Refuse a working folder that a script cannot run in.

    Parameters
    ----------
    folder
        Requested folder.
    own_folder
        Whether the script's own folder is requested too, which is refused.

    Raises
    ------
    MalformedRequest
        When the folder is not an absolute path of a folder that the service may enter.
    """
    where = "$.script.working_folder"
    if own_folder:
        raise MalformedRequest(f"{where}: working_folder and own_folder contradict each other; give one of them")
    if not folder.startswith("/"):
        raise MalformedRequest(f"{where}: {folder!r:.200} is not an absolute path; begin it with /")
    advice = "name an existing folder, or run in the script's folder (own_folder)"
    try:
        is_folder = os.path.isdir(folder)
        may_enter = os.access(folder, os.X_OK)
    except ValueError:  # NUL, or characters that the file system cannot encode
        is_folder = may_enter = False
    if not is_folder:
        raise MalformedRequest(f"{where}: {folder!r:.200} is not a folder on the service's machine; {advice}")
    if not may_enter:
        raise MalformedRequest(f"{where}: the service may not enter {folder!r:.200}; {advice}")
