"""Kernels by kind and address; in the first version they had a folder of this machine."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make each kernel of the first version a local one whose address is its folder."""
    names = ("procedure", "process", "offset")
    old = sa.table("kernels", *map(sa.column, (*names, "folder")))
    new = op.create_table(
        "kernels_by_address",
        sa.Column("procedure", _ID, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("process", sa.LargeBinary),
        sa.Column("offset", sa.BigInteger, nullable=False),
    )
    rows = sa.select(*(old.c[name] for name in names), sa.literal("local"), old.c.folder)
    op.execute(new.insert().from_select([*names, "kind", "address"], rows))
    op.drop_table("kernels")
    op.rename_table("kernels_by_address", "kernels")
