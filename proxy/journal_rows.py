"""What the journal writes, and the SQL of one transaction that writes it. SQLite and PostgreSQL alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from operator import attrgetter
from typing import Any, Final

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

from keys import vault
from keys.models import Key, LearnedLimit, Park, Usage
from keys.pool import Disabling, ParkRow
from keys.rules import Outcome
from proxy import revision
from proxy.models import Attempt, RequestLog, ThoughtSignature

Change = ParkRow | Disabling

# Sums of a day's counts must stay within 63 bits, whatever an upstream claims to have counted.
LARGEST_COUNT: Final = 2**53
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class AttemptRecord:
    """One try with one key. ``status`` is None when no answer came."""

    number: int
    key_id: int | None
    model: str
    outcome: Outcome
    started_at: datetime
    duration_ms: int
    status: int | None = None
    quota_id: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class UsageDelta:
    """What to add to one row of Usage; ``day`` is the subject's own day."""

    kind: str
    subject: str
    day: date
    model: str
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class SignatureRow:
    """A thought signature to be kept; ``proxy.signatures`` makes and finds them."""

    call_id: str
    signature: str = field(repr=False)
    created_at: datetime


@dataclass(slots=True, kw_only=True)
class Record:
    """One request, filled in while it runs: its log row, attempts, usage, signatures, and what it taught about keys.

    Texts are cut to their column and numbers held within theirs when they are written.
    """

    id: int
    started_at: datetime
    address: str = ""
    member_id: int | None = None
    dialect: str = ""
    model: str = ""
    stream: bool = False
    answers: int = 1
    outcome: Outcome = Outcome.REFUSED
    status: int = 0
    code: str = ""
    message: str = ""
    attempt_count: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    thought_tokens: int = 0
    cached_tokens: int = 0
    first_output_ms: int | None = None
    duration_ms: int = 0
    attempts: list[AttemptRecord] = field(default_factory=list)
    usage: list[UsageDelta] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    signatures: list[SignatureRow] = field(default_factory=list)


class Rows:
    """Writes records through one connection; the caller holds the transaction."""

    def __init__(self, alias: str) -> None:
        self._connection = connections[alias]
        self._logs = _Insert(RequestLog, self._connection)
        self._attempts = _Insert(Attempt, self._connection, leave_out=("id", "request_id"), before=("request_id",))
        self._usage_sql = _usage_sql(self._connection)
        self._signature_sql = _signature_sql(self._connection)
        self._park_sql = _park_sql(self._connection)
        self._limit_sql = _limit_sql(self._connection)
        self._disable_sql = _disable_sql(self._connection)

    def written(self, ids: Sequence[int]) -> set[int]:
        """Return which of these requests are in the log already."""
        found: set[int] = set()
        for start in range(0, len(ids), 500):
            found.update(RequestLog.objects.filter(pk__in=ids[start : start + 500]).values_list("pk", flat=True))
        return found

    def write_logs(self, records: Sequence[Record]) -> None:
        """Insert the log rows and the attempts."""
        with self._connection.cursor() as cursor:
            if records:
                cursor.executemany(self._logs.sql, [self._logs.row(record) for record in records])
            tries = [self._attempts.row(one, record.id) for record in records for one in record.attempts]
            if tries:
                cursor.executemany(self._attempts.sql, tries)

    def write_usage(self, deltas: Iterable[UsageDelta]) -> None:
        """Add the deltas to their rows, one statement per row."""
        rows = _summed(deltas)
        if rows:
            with self._connection.cursor() as cursor:
                cursor.executemany(self._usage_sql, rows)

    def write_signatures(self, rows: Iterable[SignatureRow]) -> None:
        """Keep the signatures, encrypted; of two for one call the later one holds."""
        latest = {row.call_id: row for row in rows}
        if latest:
            # In one order for all writers: two of them then never wait for each other.
            with self._connection.cursor() as cursor:
                cursor.executemany(self._signature_sql, [self._signature(latest[each]) for each in sorted(latest)])

    def write_changes(self, changes: Sequence[Change]) -> int | None:
        """Write parks and disablings; return the revision they have moved to, None when there were none."""
        if not changes:
            return None
        parks = [self._park(change) for change in changes if isinstance(change, ParkRow)]
        limits = [self._limit(change) for change in changes if isinstance(change, ParkRow) and change.per_day]
        disablings = [change for change in changes if isinstance(change, Disabling)]
        with self._connection.cursor() as cursor:
            if parks:
                cursor.executemany(self._park_sql, parks)
            if limits:
                cursor.executemany(self._limit_sql, limits)
            if disablings:
                cursor.executemany(self._disable_sql, [(_fit(one.reason, 300), one.key_id) for one in disablings])
        return revision.advance()

    def _signature(self, row: SignatureRow) -> tuple[Any, ...]:
        adapt = self._connection.ops.adapt_datetimefield_value
        return (_fit(row.call_id, 64), vault.encrypt(row.signature), adapt(row.created_at))

    def _park(self, park: ParkRow) -> tuple[Any, ...]:
        adapt = self._connection.ops.adapt_datetimefield_value
        model, quota = _fit(park.model, 120), _fit(park.quota_id, 160)
        return (model, str(park.reason), quota, adapt(park.until), adapt(park.created_at), park.key_id)

    def _limit(self, park: ParkRow) -> tuple[Any, ...]:
        adapt = self._connection.ops.adapt_datetimefield_value
        return (_fit(park.model, 120), park.per_day, adapt(park.created_at), park.key_id)


class _Insert:
    """The INSERT of one model's rows, and how an object's attributes become one."""

    def __init__(
        self,
        model: type[models.Model],
        connection: BaseDatabaseWrapper,
        *,
        leave_out: Sequence[str] = (),
        before: Sequence[str] = (),
    ) -> None:
        columns = [one for one in model._meta.concrete_fields if one.attname not in leave_out]
        self._values = attrgetter(*[one.attname for one in columns])
        self._fits = [_fitter(one, connection) for one in columns]
        self.sql = _insert(model, [*before, *(one.attname for one in columns)], connection)

    def row(self, source: object, *before: int) -> tuple[Any, ...]:
        return (*before, *[fit(value) for fit, value in zip(self._fits, self._values(source), strict=True)])


def _insert(model: type[models.Model], columns: Sequence[str], connection: BaseDatabaseWrapper) -> str:
    quote = connection.ops.quote_name
    names = ", ".join(quote(column) for column in columns)
    places = ", ".join(["%s"] * len(columns))
    return f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES ({places})"  # noqa: S608 - names of ours


Fitter = Callable[[Any], Any]


def _fitter(column: models.Field[Any, Any], connection: BaseDatabaseWrapper) -> Fitter:
    """Return what makes any value of this column fit: a bad one must not cost the row."""
    real = column.target_field if isinstance(column, models.ForeignKey) else column
    if isinstance(real, models.DateTimeField):
        return connection.ops.adapt_datetimefield_value
    if isinstance(real, models.CharField):
        return _text_fitter(real.max_length or LARGEST_COUNT)
    if isinstance(real, models.BooleanField):
        return bool
    least, most = connection.ops.integer_field_range(real.get_internal_type())
    # A primary or foreign key is not clamped: another number would name another row.
    return (
        _passed
        if column.primary_key or column.is_relation
        else _number_fitter(max(least or 0, 0), most or 2**63 - 1, column.null)
    )


def _passed(value: object) -> object:
    return value


def _text_fitter(limit: int) -> Fitter:
    return lambda text: str(text) if len(text) <= limit and text.isprintable() else _fit(text, limit)


def _fit(text: str, limit: int) -> str:
    # Lone surrogates cannot be stored by either database, NUL not by PostgreSQL.
    return str(text)[:limit].encode("utf-8", "replace").decode().replace("\0", "")


def _number_fitter(least: int, most: int, or_null: bool) -> Fitter:
    def fit(value: Any) -> int | None:
        if value.__class__ is int and least <= value <= most:
            return int(value)
        if value is None and or_null:
            return None
        return min(max(int(value or 0), least), most)

    return fit


def _summed(deltas: Iterable[UsageDelta]) -> list[tuple[Any, ...]]:
    """Return one row per usage row, in one order for all writers: two of them then never wait for each other."""
    sums: dict[tuple[str, str, date, str], list[int]] = {}
    for one in deltas:
        total = sums.setdefault((one.kind, one.subject, one.day, one.model), [0, 0, 0])
        total[0] += one.requests
        total[1] += one.prompt_tokens
        total[2] += one.completion_tokens
    return [
        (kind, _fit(subject, 64), day, _fit(model, 120), *map(_counted, sums[kind, subject, day, model]))
        for kind, subject, day, model in sorted(sums)
    ]


def _counted(number: int) -> int:
    return min(max(number, -LARGEST_COUNT), LARGEST_COUNT)


def _usage_sql(connection: BaseDatabaseWrapper) -> str:
    quote, table = connection.ops.quote_name, connection.ops.quote_name(Usage._meta.db_table)
    keys, sums = ("kind", "subject", "day", "model"), ("requests", "prompt_tokens", "completion_tokens")
    adds = ", ".join(f"{quote(name)} = {table}.{quote(name)} + excluded.{quote(name)}" for name in sums)
    conflict = ", ".join(quote(name) for name in keys)
    return f"{_insert(Usage, (*keys, *sums), connection)} ON CONFLICT ({conflict}) DO UPDATE SET {adds}"


def _signature_sql(connection: BaseDatabaseWrapper) -> str:
    quote, names = connection.ops.quote_name, ("call_id", "ciphertext", "created_at")
    sets = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in names[1:])
    return f"{_insert(ThoughtSignature, names, connection)} ON CONFLICT ({quote(names[0])}) DO UPDATE SET {sets}"


def _park_sql(connection: BaseDatabaseWrapper) -> str:
    """Of two parks of one key and model the longer one counts."""
    columns = ("model", "reason", "quota_id", "until", "created_at")
    until = f"{connection.ops.quote_name(Park._meta.db_table)}.{connection.ops.quote_name('until')}"
    return f"{_upsert_of_key(Park, columns, connection)} WHERE excluded.{connection.ops.quote_name('until')} > {until}"


def _limit_sql(connection: BaseDatabaseWrapper) -> str:
    """Of two limits of one key and model the later one counts."""
    return _upsert_of_key(LearnedLimit, ("model", "per_day", "learned_at"), connection)


def _upsert_of_key(model: type[models.Model], columns: Sequence[str], connection: BaseDatabaseWrapper) -> str:
    """Return the statement that keeps one row per key and model; for a key that is gone it does nothing."""
    quote = connection.ops.quote_name
    keys, names = quote(Key._meta.db_table), ", ".join(map(quote, columns))
    sets = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in columns if name != "model")
    return (
        f"INSERT INTO {quote(model._meta.db_table)} ({names}, {quote('key_id')}) "  # noqa: S608 - names of ours
        f"SELECT {_typed_places(model, columns, connection)}, {quote('id')} FROM {keys} WHERE {quote('id')} = %s "
        f"ON CONFLICT ({quote('key_id')}, {quote('model')}) DO UPDATE SET {sets}"
    )


def _typed_places(model: type[models.Model], names: Iterable[str], connection: BaseDatabaseWrapper) -> str:
    # In a SELECT, unlike in VALUES, PostgreSQL does not take a parameter's type from the column.
    if connection.vendor != "postgresql":
        return ", ".join("%s" for _ in names)
    return ", ".join(f"%s::{model._meta.get_field(name).db_type(connection)}" for name in names)


def _disable_sql(connection: BaseDatabaseWrapper) -> str:
    """A key that someone has disabled before keeps that reason."""
    quote, by = connection.ops.quote_name, Key.DisabledBy
    return (
        f"UPDATE {quote(Key._meta.db_table)} SET {quote('disabled_by')} = '{by.GOOGLE.value}', "  # noqa: S608
        f"{quote('disabled_reason')} = %s WHERE {quote('id')} = %s AND {quote('disabled_by')} = ''"
    )
