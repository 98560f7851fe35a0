"""Copies a whole database into another one, SQLite or PostgreSQL, in one transaction, and counts the rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from django.apps import apps
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import Error, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

OTHER: Final = "other"
BATCH: Final = 1000
# Rows in these are somebody's; those in all others may have been made by migrating.
TELLING: Final = ("keys.Key", "keys.Member", "auth.User", "proxy.RequestLog")

Counts = dict[str, int]


class NotCopied(Exception):
    """The copy was not made; the target is as it was. The message says why."""


@contextlib.contextmanager
def other_database(config: dict[str, Any]) -> Iterator[str]:
    """Let the alias "other" be this database (a value of DATABASES) until the end of the block."""
    # One connection is enough, and one that fails without a pool says why.
    plain = {**config, "OPTIONS": {name: value for name, value in config["OPTIONS"].items() if name != "pool"}}
    connections.settings[OTHER] = connections.configure_settings({"default": plain})["default"]
    try:
        yield OTHER
    finally:
        connections[OTHER].close()
        del connections[OTHER], connections.settings[OTHER]


def bring_up_to_date(alias: str) -> None:
    """Migrate the database of an alias. Raises django.db's errors."""
    call_command("migrate", database=alias, interactive=False, verbosity=0)


def copy(source: str, target: str, *, replace: bool) -> Counts:
    """Copy every row of the database ``source`` to ``target``; return the rows of each table.

    Both are aliases of migrated databases. What is in ``target`` is replaced, if ``replace`` allows it or nobody's.
    Raises NotCopied.
    """
    try:
        with transaction.atomic(using=target), transaction.atomic(using=source):
            _see_one_moment(connections[source])
            _refuse_to_replace(target, replace)
            _empty(target)
            counts = {model._meta.db_table: _copy_table(model, source, target) for model in _all_models()}
            _check(counts, source, target)
            _reset_sequences(connections[target])
            connections[target].check_constraints()
    except Error as error:
        reason = str(error).strip().partition("\n")[0]
        raise NotCopied(f"{type(error).__name__}: {reason}") from error
    return counts


def _all_models() -> list[type[models.Model]]:
    every = apps.get_models(include_auto_created=True)
    return [model for model in every if model._meta.managed and not model._meta.proxy and not model._meta.swapped]


def _see_one_moment(source: BaseDatabaseWrapper) -> None:
    """SQLite's transactions read one moment anyway."""
    if source.vendor == "postgresql":
        with source.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def _refuse_to_replace(target: str, replace: bool) -> None:
    found = {name: apps.get_model(name)._base_manager.using(target).count() for name in TELLING}
    if any(found.values()) and not replace:
        told = ", ".join(f"{count} of {name}" for name, count in found.items() if count)
        raise NotCopied(f"the target already holds rows ({told}); --replace overwrites them")


def _empty(target: str) -> None:
    # The constraints of all tables are looked at when the transaction ends, so the order is free.
    with connections[target].cursor() as cursor:
        for model in _all_models():
            cursor.execute(f"DELETE FROM {connections[target].ops.quote_name(model._meta.db_table)}")  # noqa: S608


def _copy_table(model: type[models.Model], source: str, target: str) -> int:
    fields = [field for field in model._meta.concrete_fields if not field.generated]
    rows = model._base_manager.using(source).order_by().values_list(*(field.attname for field in fields))
    connection, count = connections[target], 0
    sql = _insert(model, fields, connection)
    with connection.cursor() as cursor:
        for batch in _batches(rows.iterator(chunk_size=BATCH)):
            cursor.executemany(sql, [_prepared(fields, row, connection) for row in batch])
            count += len(batch)
    return count


def _insert(model: type[models.Model], fields: list[models.Field[Any, Any]], connection: BaseDatabaseWrapper) -> str:
    quote = connection.ops.quote_name
    names, places = ", ".join(quote(str(field.column)) for field in fields), ", ".join(["%s"] * len(fields))
    return f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES ({places})"  # noqa: S608 - names of ours


def _prepared(
    fields: list[models.Field[Any, Any]], row: tuple[Any, ...], connection: BaseDatabaseWrapper
) -> tuple[Any, ...]:
    return tuple(field.get_db_prep_save(value, connection) for field, value in zip(fields, row, strict=True))


def _batches(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    batch: list[tuple[Any, ...]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _check(counts: Counts, source: str, target: str) -> None:
    for model in _all_models():
        read = counts[model._meta.db_table]
        there, here = (model._base_manager.using(alias).count() for alias in (source, target))
        if not read == there == here:
            raise NotCopied(f"{model._meta.db_table} has {there} rows, {read} were read and {here} arrived")


def _reset_sequences(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), _all_models()):
            cursor.execute(statement)
