"""Bounds of a request: refuses texts and arguments that are too large for the service, its store or a kernel."""

from oet_kernel.bounds import (
    ARGUMENT_BYTES,
    NAME_CHARACTERS,
    REPOSITORY_CHARACTERS,
    REQUEST_DEPTH,
    URI_CHARACTERS,
    OutOfBounds,
    check_json,
    check_text,
)
from oet_kernel.errors import BodyTooLarge, MalformedRequest
from oet_kernel.models import GitScript, ProcedureInput, Script, to_json


def check_script(script: Script) -> None:
    """Refuse a script with a text that is too long.

    Parameters
    ----------
    script
        Script of a request.

    Raises
    ------
    MalformedRequest
    """
    texts = [("$.script.script_uri", script.script_uri, URI_CHARACTERS)]
    texts.append(("$.script.kernel", script.kernel or "", NAME_CHARACTERS))
    texts.append(("$.script.working_folder", script.working_folder or "", URI_CHARACTERS))
    if isinstance(script, GitScript):
        git = script.git_args
        texts.append(("$.script.git_args.git_repo", git.git_repo, REPOSITORY_CHARACTERS))
        texts.append(("$.script.git_args.git_branch", git.git_branch or "", NAME_CHARACTERS))
        texts.append(("$.script.git_args.git_commit", git.git_commit or "", NAME_CHARACTERS))
    for where, text, most in texts:
        try:
            check_text(text, "a text", most)
        except OutOfBounds as error:
            raise MalformedRequest(f"{where}: {error}") from None


def check_arguments(name: str, arguments: ProcedureInput) -> None:
    """Refuse arguments that cannot be sent to a kernel, or cannot be restored by the next service.

    Parameters
    ----------
    name
        Function that they are for, ``init`` or ``main``.
    arguments
        Arguments of a request.

    Raises
    ------
    MalformedRequest
        When they nest too deeply, or have no JSON form.
    BodyTooLarge
        When they are too large.
    """
    where = f"$.script_args.{name}"
    try:
        encoded = to_json(arguments)
        check_json(encoded, max(len(encoded), 1), REQUEST_DEPTH)
    except (ValueError, RecursionError) as error:
        raise MalformedRequest(f"{where}: the value {error}") from None
    if len(encoded) > ARGUMENT_BYTES:
        raise BodyTooLarge(
            f"{where} has {len(encoded):,} bytes of JSON and {ARGUMENT_BYTES:,} are allowed; pass large data in a file"
        )
