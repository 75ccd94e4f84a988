"""SqliteStore: the store in one SQLite database (WAL) in the state folder.

All that is SQLite's own is here: the file, its pragmas, its transactions, its check, and how it is brought up to date.
"""

import os
import sqlite3
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from oet_kernel.errors import StoreTooNew
from oet_kernel.store import queries, tables
from oet_kernel.store.core import CoreStore


class SqliteStore(CoreStore):
    """Store in a file of SQLite.

    Parameters
    ----------
    path
        Path of the database; created (mode 0600) if it is missing.
    power_safe
        Whether written data survive a loss of power, not only the end of a process; costs a flush of the disk for each
        transaction.
    read_only
        Whether to change nothing: no database is created, migrated or written.

    Raises
    ------
    StoreTooNew
        When a later version of this program has written the database.
    StoreUnusable
        When the database is damaged, or cannot be written.
    """

    refusals: ClassVar[tuple[type[SQLAlchemyError], ...]] = (
        *CoreStore.refusals,
        # for a value of a type that the driver does not know
        sa.exc.InterfaceError,
        sa.exc.ProgrammingError,
    )

    def __init__(self, path: Path, *, power_safe: bool = False, read_only: bool = False) -> None:
        url = f"sqlite:///file:{quote(str(path))}?mode=ro&uri=true" if read_only else f"sqlite:///{path}"
        super().__init__(sa.create_engine(url), str(path))
        if read_only:
            return
        self._synchronous = "FULL" if power_safe else "NORMAL"
        with self._explained():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            sa.event.listen(self._engine, "connect", self._configure)
            try:
                self._bring_up_to_date()
            except BaseException:
                self.close()
                raise

    def _configure(self, connection: sqlite3.Connection, record: Any) -> None:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # takes effect when the first table is created
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={self._synchronous}")
        connection.execute("PRAGMA busy_timeout=10000")

    def _begin(self, connection: sa.Connection) -> None:
        # the driver begins one at the first row that is written: a table or a savepoint before would be committed alone
        _run_script(connection, "BEGIN IMMEDIATE")

    def _bytes_in_use(self, connection: sa.Connection) -> int:
        pages, free, size = (
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _release(self) -> None:
        with self._reading() as connection:
            _run_script(connection, "PRAGMA incremental_vacuum")  # each step frees one page

    def check(self) -> list[str]:
        """Run SQLite's quick check of the database; return the reported errors."""
        with self._reading() as connection:
            said = connection.exec_driver_sql("PRAGMA quick_check").scalars().all()
            return [str(line) for line in said if line != "ok"]

    # --- versions

    def _bring_up_to_date(self) -> None:
        """Create or migrate the tables, whole or not at all."""
        with self._reading() as connection:
            is_new = not sa.inspect(connection).has_table(tables.version.name)
            found = None if is_new else connection.execute(queries.revision()).scalar()
        if is_new:
            with self._writing() as connection:
                tables.metadata.create_all(connection)
                tables.version.create(connection)
                connection.execute(tables.version.insert().values(version_num=tables.REVISION))
        elif found != tables.REVISION:
            self._migrate(str(found))

    def _migrate(self, found: str) -> None:
        # imported here, since it takes half a second
        from alembic import command
        from alembic.config import Config
        from alembic.script import ScriptDirectory
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        try:
            ScriptDirectory.from_config(config).get_revision(found)
        except CommandError:
            raise StoreTooNew(
                f"The database {self._name} has schema {found}, which this version does not know (it knows up to "
                f"{tables.REVISION}): a later version has written it; start that version, or give another folder with "
                "--state-dir"
            ) from None
        with self._writing() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _run_script(connection: sa.Connection, script: str) -> None:
    """Run a script by the driver itself, which steps each statement to its end, and takes less time than SQLAlchemy."""
    driver: Any = connection.connection.driver_connection
    try:
        driver.executescript(script)
    except sqlite3.Error as error:
        raise sa.exc.OperationalError(script, None, error) from error
