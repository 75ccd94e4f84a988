"""A database that is damaged or of another version is told."""

import pytest

from oet_kernel.state.layout import DATABASE
from tests.maintenance.examining import found, problems


@pytest.mark.parametrize("where", [0, 8192], ids=["header", "tables"])
def test_damaged_database_is_told_with_where_to_read_on(folder, where):
    with open(folder / DATABASE, "r+b") as file:
        file.seek(where)
        file.write(b"\x5a" * 20000)
    (one,) = problems(folder)
    assert one.about == "database"
    assert "recover.md" in one.remedy


def test_other_schema_is_told(folder):
    import sqlite3

    with sqlite3.connect(folder / DATABASE) as database:
        database.execute("UPDATE alembic_version SET version_num = '0000'")
    database.close()
    assert "schema 0000" in found(folder, "database")[0].text
    assert problems(folder) == []
