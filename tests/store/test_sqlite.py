"""The file of SQLite: private, of this version or an older one, and refused with what to do where it is damaged."""

import json
import sqlite3
import stat

import pytest

from oet_kernel.errors import StoreTooNew, StoreUnusable
from oet_kernel.store.rows import Unit
from oet_kernel.store.sqlite import SqliteStore
from tests.store.examples import events, row


def test_database_and_what_lies_beside_it_can_be_read_by_nobody_else(tmp_path, store):
    store.write(Unit(events=events([1])))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert "oet.sqlite-wal" in modes
    assert set(modes.values()) == {0o600}


def test_procedure_that_was_written_before_it_was_kept_who_asks_is_read_without(tmp_path, store):
    store.write(Unit(procedures={1: row(1)}))
    with sqlite3.connect(tmp_path / "oet.sqlite") as connection:
        (record,) = connection.execute("SELECT record FROM procedures").fetchone()
        old = json.loads(record)
        del old["procedure"]["requested_by"], old["procedure"]["pause"]
        connection.execute("UPDATE procedures SET record = ?", [json.dumps(old).encode()])
    connection.close()
    assert store.active() == [row(1)]


def test_database_of_a_later_version_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "oet.sqlite"
    SqliteStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(StoreTooNew, match=r"has schema 9999, which this version does not know .*--state-dir"):
        SqliteStore(path)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]
    connection.close()


def test_damaged_database_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "oet.sqlite"
    path.write_bytes(b"this is no database, whatever its name says" * 100)
    with pytest.raises(StoreUnusable, match=r"cannot be used: .*oet doctor.*recover\.md"):
        SqliteStore(path)


def test_check_is_silent_for_a_sound_database(store):
    store.write(Unit(events=events(range(1, 100))))
    assert store.check() == []


def test_folder_that_is_none_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(StoreUnusable, match=r"oet\.sqlite cannot be used"):
        SqliteStore(tmp_path / "missing" / "oet.sqlite")


@pytest.mark.parametrize("write", ["write", "trim", "release"])
def test_database_that_cannot_be_written_is_told_as_such_by_whatever_writes(tmp_path, store, write):
    store.write(Unit(events=events([1])))
    other = SqliteStore(tmp_path / "oet.sqlite", read_only=True)
    do = {
        "write": lambda: other.write(Unit(events=events([2]))),
        "trim": lambda: other.trim(0.0, 1 << 40),
        "release": lambda: other._release(),
    }
    try:
        with pytest.raises(StoreUnusable, match="readonly database"):
            do[write]()
    finally:
        other.close()
    assert store.last_seq() == 1
