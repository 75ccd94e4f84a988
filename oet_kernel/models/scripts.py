"""Scripts, and what is known of them without running them."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from oet_kernel.models.description import about

Kernelspec = Annotated[
    str | None, about("Kernelspec that runs the cells of a notebook; null for the one that the notebook names.")
]
WorkingFolder = Annotated[
    Annotated[str, Meta(extra_json_schema={"pattern": "^/"})] | None,
    about(
        "Absolute path of the working folder on the service's machine, which must exist; null for the service's "
        "working folder. Not together with `own_folder`."
    ),
]


class GitArgs(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Repository and version of a script."""

    git_repo: Annotated[str, about("URL of the repository, in any form that `git clone` accepts.", minLength=1)]
    git_branch: Annotated[str | None, about("Branch; null, without a commit, for the repository's default branch.")] = (
        None
    )
    git_commit: Annotated[str | None, about("Commit hash; takes precedence over a branch.")] = None


class FileSystemScript(
    Struct, frozen=True, kw_only=True, tag_field="script_type", tag="filesystem", omit_defaults=True
):
    """A script in a file that the service can read."""

    script_uri: Annotated[
        str,
        about(
            "`file:///absolute/path.py`, or `.ipynb` for a notebook.",
            examples=["file:///path/observe.py", "file:///path/scan.ipynb"],
            pattern="^file://",
        ),
    ]
    kernel: Kernelspec = None
    own_folder: Annotated[bool, about("Run in the file's folder instead of the service's working folder.")] = False
    working_folder: WorkingFolder = None


class GitScript(Struct, frozen=True, kw_only=True, tag_field="script_type", tag="git", omit_defaults=True):
    """A script in a git repository."""

    script_uri: Annotated[
        str,
        about(
            "`git://path/inside/the/repository.py`, or `.ipynb` for a notebook.",
            examples=["git://path/in/repo.py", "git://path/in/repo.ipynb"],
            pattern="^git://",
        ),
    ]
    git_args: Annotated[GitArgs, about("The repository and its version.")]
    create_env: Annotated[
        bool, about("Run the script in an environment built from the repository's own dependencies.")
    ] = False
    kernel: Kernelspec = None
    own_folder: Annotated[
        bool,
        about(
            "Run in the file's folder instead of the service's working folder; the folder lies in the procedure's own "
            "checkout."
        ),
    ] = False
    working_folder: WorkingFolder = None


Script = FileSystemScript | GitScript


class ListedScript(Struct, frozen=True):
    """Script in one of the configured folders."""

    uri: Annotated[
        str,
        about(
            "`file:///absolute/path.py`, or `.ipynb` for a notebook.",
            examples=["file:///path/observe.py", "file:///path/scan.ipynb"],
            format="uri",
        ),
    ]
    docstring: Annotated[str | None, about("First line of the script's docstring; null without one.")]


class ScriptList(Struct, frozen=True):
    """Scripts that can be executed; body of ``GET /scripts``."""

    scripts: Annotated[list[ListedScript], about("Scripts in the configured folders.")]
    message: Annotated[str | None, about("Reason if no scripts, or not all, are listed; otherwise null.")] = None


FunctionSchema = Annotated[
    dict[str, Any],
    about(
        "JSON Schema (draft 2020-12) of an object of arguments by name. Its properties have `x-kind` (positional-only, "
        "positional-or-keyword, var-positional, keyword-only), and where the script states them `x-type`, `x-unit`, "
        "`x-members` (the members of an enumeration) and `x-default` (a default without JSON form). `x-positional` "
        "lists the names that may be given by position, in order. `x-open` is the reason why nothing is known.",
        required=["$schema", "title", "type", "additionalProperties"],
        properties={
            "$schema": {"const": "https://json-schema.org/draft/2020-12/schema"},
            "title": {"enum": ["init", "main"]},
            "description": {"type": "string"},
            "type": {"const": "object"},
            "properties": {"type": "object", "additionalProperties": {"type": "object"}},
            "required": {"type": "array", "items": {"type": "string"}},
            "additionalProperties": {"type": ["boolean", "object"]},
            "x-positional": {"type": "array", "items": {"type": "string"}},
            "x-open": {"type": "string"},
        },
    ),
]


class ScriptSchema(Struct, frozen=True):
    """Schemas of a script's arguments; body of ``GET /scripts/schema``."""

    uri: Annotated[str, about("URI of the script.")]
    docstring: Annotated[str | None, about("First line of the script's docstring; null without one.")]
    init: Annotated[FunctionSchema | None, about("Arguments of `init` by name; null if the script has no `init`.")]
    main: Annotated[
        FunctionSchema | None,
        about("Arguments of `main` by name, as defined after the call of `init`; null if the script has no `main`."),
    ]
