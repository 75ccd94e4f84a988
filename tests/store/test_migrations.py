"""A database that an older version has written is migrated whole or not at all, and everything in it is kept."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from oet_kernel import procedure as lifecycle
from oet_kernel.errors import StoreUnusable
from oet_kernel.events.event import Event, Filter
from oet_kernel.models import FileSystemScript, ProcedureInput
from oet_kernel.store import tables
from oet_kernel.store.rows import ActivityRow, KernelRow, ProcedureRow, Unit
from oet_kernel.store.sqlite import SqliteStore

FIRST = Path(__file__).parents[1] / "recorded" / "store-0001.sql"
"""Database of revision 0001 with rows in every table, as version 0.1.0.dev0 wrote it."""


@pytest.fixture
def old(tmp_path):
    """The database of revision 0001, as a file."""
    path = tmp_path / "oet.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(FIRST.read_text())
    return path


def dump(path):
    with closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())


def schema(path):
    """Columns and indices of each table, as SQLite itself has them."""
    with closing(sqlite3.connect(path)) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
        indices = database.execute("SELECT name, tbl_name FROM sqlite_master WHERE type = 'index' ORDER BY 1")
        return {name: database.execute(f"PRAGMA table_info({name})").fetchall() for name in names}, indices.fetchall()


def failed(pid, script, arguments):
    procedure = lifecycle.create(pid, FileSystemScript(script_uri=script), arguments, 1000.5)
    return lifecycle.apply(procedure, lifecycle.Failed(1001.5, "because"))


def test_everything_in_a_database_of_the_first_revision_is_kept(old):
    store = SqliteStore(old)
    try:
        assert store.revision() == tables.REVISION
        second = lifecycle.create(2, FileSystemScript(script_uri="file:///scripts/b.py"), ProcedureInput(), 1002.5)
        assert store.active() == [ProcedureRow(procedure=second, path="/scripts/b.py", interests=["a.b"])]
        first = failed(1, "file:///scripts/a.py", ProcedureInput([1], {"subarray_id": 2}))
        assert store.newest_inactive(10) == [ProcedureRow(procedure=first)]
        process = b'{"folder":"/state/kernels/two","pid":1,"started":2,"forked":true}'
        assert store.kernels([1, 2]) == {
            1: KernelRow(procedure=1, kind="local", address="/state/kernels/one"),
            2: KernelRow(procedure=2, kind="local", address="/state/kernels/two", process=process, offset=1 << 40),
        }
        assert store.events(0, Filter(), None).rows == [
            Event(1, "procedure.lifecycle.created", 1, b'{"msg_src":"1"}', 1000.5),
            Event(2, "user.script.announce", 2, b'{"msg":"hello"}', 1003.5),
            Event(3, "user.x", None, b"{}", 1004.5),
        ]
        assert store.activities(10) == [ActivityRow(1, 2, b'{"id":1}')]
        assert (store.counter("procedure"), store.counter("activity")) == (2, 1)
    finally:
        store.close()


def test_migrated_database_takes_rows(old):
    store = SqliteStore(old)
    try:
        kernel = KernelRow(procedure=2, kind="elsewhere", address="ssh://host/7", offset=5)
        store.write(Unit(kernels={2: kernel, 3: KernelRow(procedure=3, address="/f")}))
        assert store.kernels([2, 3]) == {2: kernel, 3: KernelRow(procedure=3, kind="local", address="/f")}
    finally:
        store.close()


def test_migrated_database_has_the_schema_of_a_fresh_one(old, tmp_path):
    SqliteStore(old).close()
    SqliteStore(tmp_path / "fresh.sqlite").close()
    assert schema(old) == schema(tmp_path / "fresh.sqlite")


def test_ids_that_are_64_bits_elsewhere_are_row_ids_of_sqlite(tmp_path):
    SqliteStore(tmp_path / "oet.sqlite").close()
    columns, _ = schema(tmp_path / "oet.sqlite")
    keys = {(table, name): kind for table, found in columns.items() for _, name, kind, _, _, key in found if key}
    assert {key: kind for key, kind in keys.items() if kind not in ("TEXT", "VARCHAR(32)")} == {
        ("activities", "id"): "INTEGER",
        ("events", "seq"): "INTEGER",
        ("kernels", "procedure"): "INTEGER",
        ("procedures", "id"): "INTEGER",
    }


def fail_at(word):
    """Have each statement with a word in it fail, as on a disk that is full."""

    def fail(connection, cursor, statement, *rest):
        if word in statement:
            raise sqlite3.OperationalError("database or disk is full")

    return fail


@pytest.mark.parametrize("word", ["CREATE TABLE kernels_by_address", "DROP TABLE", "UPDATE alembic_version"])
def test_migration_that_fails_leaves_the_database_as_it_was(old, word):
    before = dump(old)
    sa.event.listen(sa.Engine, "before_cursor_execute", listener := fail_at(word))
    try:
        with pytest.raises((StoreUnusable, sqlite3.OperationalError), match="disk is full"):
            SqliteStore(old)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", listener)
    assert dump(old) == before
    store = SqliteStore(old)
    assert store.revision() == tables.REVISION
    store.close()


@pytest.mark.parametrize("word", ["CREATE TABLE events", "INSERT INTO alembic_version"])
def test_database_whose_creation_was_cut_short_is_created_by_the_next_service(tmp_path, word):
    path = tmp_path / "oet.sqlite"
    sa.event.listen(sa.Engine, "before_cursor_execute", listener := fail_at(word))
    try:
        with pytest.raises((StoreUnusable, sqlite3.OperationalError), match="disk is full"):
            SqliteStore(path)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", listener)
    store = SqliteStore(path)
    assert store.revision() == tables.REVISION
    store.close()


def test_migrations_lead_to_the_tables_of_this_version(tmp_path):
    config = Config()
    config.set_main_option("script_location", str(tables.__file__).replace("tables.py", "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == tables.REVISION
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'x.sqlite'}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
    engine.dispose()
