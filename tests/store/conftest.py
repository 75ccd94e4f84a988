"""A store in a folder of the test; and a watch on what the store's modules ask of a database."""

import traceback
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import ClauseElement, visitors

import oet_kernel
from oet_kernel.store.sqlite import SqliteStore

FUNCTIONS = {"length", "max", "substr"}
"""Functions that SQLite and PostgreSQL both have, and understand alike."""

PACKAGE = Path(oet_kernel.__file__).parent
DRIVERS = {"store/sqlite.py", "store/migrations/env.py", None}
"""Files of the package that may speak to the driver: SQLite's own, and where Alembic looks at the database."""


@pytest.fixture
def store(tmp_path):
    made = SqliteStore(tmp_path / "oet.sqlite")
    yield made
    made.close()


def portable(statement):
    """Return a statement as PostgreSQL is given it; raise `ValueError` for what PostgreSQL does not have."""
    if not isinstance(statement, ClauseElement):
        raise ValueError(f"{statement!r} is no statement of Core")
    for part in visitors.iterate(statement):
        if isinstance(part, sa.TextClause):
            raise ValueError(f"{part} is text of somebody's own")
        if isinstance(part, sa.sql.functions.FunctionElement) and part.name not in FUNCTIONS:
            raise ValueError(f"{part} is a function that not every database has")
        if type(part).__module__.startswith("sqlalchemy.dialects."):
            raise ValueError(f"{part} is of one database alone")
    if getattr(statement, "_prefixes", ()):
        raise ValueError("a prefix is text of somebody's own")
    limit = getattr(statement, "_limit_clause", None)
    if limit is not None and limit.value < 0:
        raise ValueError("PostgreSQL takes no limit below 0")
    return str(statement.compile(dialect=postgresql.dialect()))


def caller():
    """Return the file of the package that is nearest in the calls that lead here; None for a test."""
    files = (Path(frame.filename) for frame in reversed(traceback.extract_stack()))
    return next((str(path.relative_to(PACKAGE)) for path in files if path.is_relative_to(PACKAGE)), None)


@pytest.fixture(autouse=True)
def of_any_database():
    """Have every statement of a store, but those of SQLite's own module, be one that PostgreSQL takes too."""
    found = []

    def compiled(connection, statement, *rest):
        try:
            portable(statement)
        except Exception as error:  # the store would take it for an error of the database
            found.append(f"{statement}: {error!r}")

    def written(connection, cursor, statement, parameters, context, many):
        if context is not None and context.compiled is None and caller() not in DRIVERS:
            found.append(f"{statement}: {caller()} speaks to the driver")

    sa.event.listen(sa.Engine, "before_execute", compiled)
    sa.event.listen(sa.Engine, "before_cursor_execute", written)
    yield
    sa.event.remove(sa.Engine, "before_execute", compiled)
    sa.event.remove(sa.Engine, "before_cursor_execute", written)
    assert found == []
