"""Tables, queries and statements of the store are such that PostgreSQL takes them too, but for SQLite's own module."""

import inspect
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from oet_kernel.events.event import Filter
from oet_kernel.models import ProcedureState
from oet_kernel.store import queries, tables
from oet_kernel.store.rows import ArchiveQuery
from tests.store.conftest import portable

STORE = Path(queries.__file__).parent
TABLES = [*tables.metadata.sorted_tables, tables.version]
EVERYTHING = ArchiveQuery(
    states=(ProcedureState.FAILED,), script="a_b", subarray="1", since=1.0, until=2.0, before=3, limit=4
)
QUERIES = {
    "revision": [queries.revision()],
    "counter": [queries.counter("procedure")],
    "largest": [queries.largest(tables.events.c.seq)],
    "events": [
        queries.events(1, Filter(), None),
        queries.events(1, Filter(("a.b", "c"), ("a.b.d", "all"), 7), 10, 20, 1000),
    ],
    "event_data": [queries.event_data(1, 0, 10)],
    "events_of_nobody": [queries.events_of_nobody(1.0, 10)],
    "events_of": [queries.events_of(1, 10)],
    "active": [queries.active()],
    "newest_inactive": [queries.newest_inactive(10)],
    "ended_first": [queries.ended_first()],
    "archive": [queries.archive(ArchiveQuery()), queries.archive(EVERYTHING)],
    "procedures": [queries.procedures([1, 2])],
    "ids": [queries.ids()],
    "kernels": [queries.kernels([1, 2])],
    "activities": [queries.activities(10)],
}


def test_no_query_is_left_out_here():
    made = dict(inspect.getmembers(queries, inspect.isfunction))
    assert {name for name in made if not name.startswith("_")} == set(QUERIES)


@pytest.mark.parametrize("name", QUERIES)
def test_query_is_one_that_postgresql_takes(name):
    for query in QUERIES[name]:
        assert portable(query).startswith("SELECT ")


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_table_is_one_that_postgresql_takes_with_ids_of_64_bits(table):
    made = str(CreateTable(table).compile(dialect=postgresql.dialect()))
    assert "INTEGER" not in made
    assert "SERIAL" not in made, "ids are given by the service alone"
    for index in table.indexes:
        str(CreateIndex(index).compile(dialect=postgresql.dialect()))


def test_topics_are_compared_byte_by_byte_in_any_database():
    create = CreateTable(tables.events)
    assert 'topic TEXT COLLATE "C"' in str(create.compile(dialect=postgresql.dialect()))
    assert "COLLATE" not in str(create.compile(dialect=sqlite.dialect())), "it does so without a word"


@pytest.mark.parametrize("path", sorted(STORE.glob("*.py")), ids=lambda path: path.name)
def test_one_module_alone_knows_the_driver_of_sqlite(path):
    text = path.read_text()
    words = ("sqlite3", "exec_driver_sql", "driver_connection", "PRAGMA", "SqliteStore")
    found = [word for word in words if word in text]
    assert bool(found) == (path.name == "sqlite.py"), found


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        (sa.text("PRAGMA user_version"), "text of somebody's own"),
        (sa.select(sa.func.json_extract(tables.events.c.data, "$")), "a function that not every database has"),
        (sa.select(tables.events).limit(-1), "no limit below 0"),
        (sqlite.insert(tables.counters).on_conflict_do_nothing(), "of one database alone"),
        (sa.insert(tables.counters).prefix_with("OR REPLACE"), "text of somebody's own"),
    ],
    ids=["text", "function", "limit", "insert", "prefix"],
)
def test_statement_of_sqlite_alone_is_found(statement, why):
    with pytest.raises(ValueError, match=why):
        portable(statement)
