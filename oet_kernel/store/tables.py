"""Tables of the store. A change here needs a migration, and a new `REVISION`."""

import sqlalchemy as sa

REVISION = "0002"
"""Migration that leads to these tables; stored in the database, so that each version can identify its schema."""

metadata = sa.MetaData()

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""Type of ids and numbers of events: 64 bits; SQLite has them in INTEGER, and takes such a key as its row id."""
_TOPIC = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Type of topics, which are compared byte by byte; without a word PostgreSQL compares as a language does."""

procedures = sa.Table(
    "procedures",
    metadata,
    sa.Column("id", _ID, primary_key=True, autoincrement=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("script", sa.Text, nullable=False, comment="URI of the script"),
    sa.Column("subarray", sa.Text, nullable=False, comment="the slot that it occupies while it runs"),
    sa.Column("created", sa.Float, nullable=False, comment="Unix seconds"),
    sa.Column("ended", sa.Float, comment="Unix seconds; NULL while it is active"),
    sa.Column("record", sa.LargeBinary, nullable=False, comment="all of it, as JSON"),
    sa.Index("procedures_by_end", "ended"),
)

kernels = sa.Table(
    "kernels",
    metadata,
    sa.Column("procedure", _ID, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False, comment="how its session is found again: local for this machine"),
    sa.Column("address", sa.Text, nullable=False, comment="where, as its kind has it; local: its private folder"),
    sa.Column("process", sa.LargeBinary, comment="how the process is known again, as JSON; NULL before it was started"),
    sa.Column("offset", sa.BigInteger, nullable=False, comment="how far its journal has become events, in bytes"),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("seq", _ID, primary_key=True, autoincrement=False),
    sa.Column("procedure", _ID, comment="the procedure that it is about; NULL for none, or several"),
    sa.Column("topic", _TOPIC, nullable=False),
    sa.Column("at", sa.Float, nullable=False, comment="Unix seconds"),
    sa.Column("data", sa.LargeBinary, nullable=False, comment="the JSON object that goes out"),
    sa.Index("events_by_procedure", "procedure", "seq"),
)

activities = sa.Table(
    "activities",
    metadata,
    sa.Column("id", _ID, primary_key=True, autoincrement=False),
    sa.Column("procedure", _ID, nullable=False),
    sa.Column("record", sa.LargeBinary, nullable=False, comment="all of it, as JSON"),
)

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)

version = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))
"""Table of Alembic; read here so that Alembic is imported only for a migration."""
