"""Queries of the store: each reads, and is built from values alone."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from oet_kernel.events.event import Filter
from oet_kernel.store import tables
from oet_kernel.store.rows import ArchiveQuery

_ALL = ("", "all")
"""Topics that stand for all of them."""


def revision() -> sa.Select[Any]:
    """Return the query for the migration that the tables correspond to."""
    return sa.select(tables.version.c.version_num)


def counter(name: str) -> sa.Select[Any]:
    """Return the query for the last value of a counter."""
    return sa.select(tables.counters.c.value).where(tables.counters.c.name == name)


def largest(column: sa.Column[Any]) -> sa.Select[Any]:
    """Return the query for the largest value of a column."""
    return sa.select(sa.func.max(column))


def events(
    after: int, wanted: Filter, limit: int | None, up_to: int | None = None, longest: int | None = None
) -> sa.Select[Any]:
    """Return the query for a page of events; the parameters are those of `Store.events`."""
    columns = tables.events.c
    data: sa.ColumnElement[Any] = columns.data
    if longest is not None:
        data = sa.case((sa.func.length(data) <= longest, data), else_=b"").label("data")
    query = sa.select(columns.seq, columns.topic, columns.procedure, data, columns.at)
    query = query.where(columns.seq > after).order_by(columns.seq).limit(limit)
    if up_to is not None:
        query = query.where(columns.seq <= up_to)
    if wanted.procedure is not None:
        query = query.where(columns.procedure == wanted.procedure)
    topics = [topic for topic in wanted.topics if topic not in _ALL]
    if topics and len(topics) == len(wanted.topics):
        query = query.where(sa.or_(*(_below(topic) for topic in topics)))
    for topic in wanted.exclude:
        query = query.where(sa.false() if topic in _ALL else sa.not_(_below(topic)))
    return query


def event_data(seq: int, begin: int, size: int) -> sa.Select[Any]:
    """Return the query for a piece of the data of an event; the parameters are those of `Store.event_data`."""
    return sa.select(sa.func.substr(tables.events.c.data, begin + 1, size)).where(tables.events.c.seq == seq)


def events_of_nobody(before: float, limit: int) -> sa.Select[Any]:
    """Return the query for the numbers of the oldest events of no procedure, or several, up to a time."""
    columns = tables.events.c
    query = sa.select(columns.seq).where(columns.procedure.is_(None), columns.at < before)
    return query.order_by(columns.seq).limit(limit)


def events_of(procedure: int, limit: int) -> sa.Select[Any]:
    """Return the query for the numbers of the oldest events of a procedure."""
    columns = tables.events.c
    return sa.select(columns.seq).where(columns.procedure == procedure).order_by(columns.seq).limit(limit)


def active() -> sa.Select[Any]:
    """Return the query for the active procedures, in order of creation."""
    columns = tables.procedures.c
    return sa.select(tables.procedures).where(columns.ended.is_(None)).order_by(columns.id)


def newest_inactive(limit: int) -> sa.Select[Any]:
    """Return the query for the procedures that ended last, the last one first."""
    columns = tables.procedures.c
    query = sa.select(tables.procedures).where(columns.ended.is_not(None))
    return query.order_by(columns.ended.desc(), columns.id.desc()).limit(limit)


def ended_first() -> sa.Select[Any]:
    """Return the query for the procedure that ended first: id and end."""
    columns = tables.procedures.c
    return sa.select(columns.id, columns.ended).where(columns.ended.is_not(None)).order_by(columns.ended).limit(1)


def archive(query: ArchiveQuery) -> sa.Select[Any]:
    """Return the query for a page of all procedures, the newest first."""
    columns = tables.procedures.c
    select = sa.select(tables.procedures).order_by(columns.id.desc()).limit(query.limit)
    if query.states:
        select = select.where(columns.state.in_([state.name for state in query.states]))
    if query.script is not None:
        select = select.where(columns.script.icontains(query.script, autoescape=True))
    if query.subarray is not None:
        select = select.where(columns.subarray == query.subarray)
    if query.since is not None:
        select = select.where(columns.created >= query.since)
    if query.until is not None:
        select = select.where(columns.created < query.until)
    if query.before is not None:
        select = select.where(columns.id < query.before)
    return select


def procedures(pids: Collection[int]) -> sa.Select[Any]:
    """Return the query for procedures by their ids."""
    return sa.select(tables.procedures).where(tables.procedures.c.id.in_(pids))


def ids() -> sa.Select[Any]:
    """Return the query for the ids of all procedures."""
    return sa.select(tables.procedures.c.id)


def kernels(procedures: Collection[int]) -> sa.Select[Any]:
    """Return the query for the kernels of procedures."""
    return sa.select(tables.kernels).where(tables.kernels.c.procedure.in_(procedures))


def activities(limit: int) -> sa.Select[Any]:
    """Return the query for the newest activities, the newest first."""
    return sa.select(tables.activities).order_by(tables.activities.c.id.desc()).limit(limit)


def _below(topic: str) -> sa.ColumnElement[bool]:
    """Return the condition for a topic and those below it; by range, since LIKE may ignore case."""
    column = tables.events.c.topic
    return (column == topic) | ((column >= f"{topic}.") & (column < f"{topic}/"))  # "/" comes after "."
