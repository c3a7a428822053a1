# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""One batch of records: which calls it touches and what these are now.

Every call that gets a record is rebuilt whole from all its records (DESIGN 3.3), in
memory, and written by one statement per table. The statements of a batch belong to
one transaction, which also moves the cursor.
"""

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..telephony import call as c
from ..telephony.grouping import Threads, call_key
from ..telephony.outcome import ABANDONED, MISSED, judge
from . import store
from .call_row import COLUMNS, LEG_COLUMNS, UPDATE_TYPES, CallRow
from .partners import Clients
from .resolve import Resolver, write

_logger = logging.getLogger(__name__)

_LOOK_AGAIN = timedelta(minutes=1)

RECORD_COLUMNS = (
    "backend_id",
    "company_id",
    "key",
    "kind",
    "call_key",
    "occurred_at",
    "received_at",
    "seen_count",
    "payload",
    "content_hash",
    "state",
    "error",
    "call_id",
)


@dataclass(slots=True)
class Counts:
    """What a batch did, in rows of the source and calls."""

    rows: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    rejected: int = 0
    calls: int = 0

    def add(self, other):
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class StoredRecord:
    """A record that is in the database already."""

    id: int
    key: str
    kind: str
    occurred_at: datetime
    payload: dict
    call_id: int | None


@dataclass(slots=True)
class Group:
    """All there is of one call: what the database holds and what has arrived."""

    threads: set = field(default_factory=set)
    call_ids: list = field(default_factory=list)
    stored: list = field(default_factory=list)
    arrived: list = field(default_factory=list)  # [Record]


class Batch:
    """Takes records of one backend into calls.

    :param context: :class:`~.context.Context` of the backend.
    :param now: moment of the pull (naive UTC): what is settled, what is overdue.
    :param history: the records were there before we came (first pull, back-fill):
        their calls are settled by the phone system's clock, not by when we saw them.
    :param upto: every record older than this has been delivered: a call of history
        that ended later may still lack records, and one not heard of since is silent
        only up to here.
    :param todays_rules: judge by the settings of today, not by those stored.
    """

    def __init__(self, context, now, history=False, upto=None, todays_rules=False):
        self.context = context
        self.cr = context.cr
        self.now = now
        self.history = history
        self.upto = min(upto, now) if upto else now
        self.todays_rules = todays_rules
        self.counts = Counts()

    # -- taking records ------------------------------------------

    def take(self, records, rejected=()):
        """Store ``records`` and rebuild the calls they belong to.

        Records already known with the same content cost one look-up.
        """
        self.counts.rows += len(records) + len(rejected)
        self._quarantine(rejected)
        new, changed = self._sort_out(records)
        arrived = [*new, *(record for record, _id in changed)]
        restarts = [
            record.occurred_at for record in arrived if self._is_restart(record)
        ]
        self.context.add_restarts(restarts)
        rows, failed = self._rebuild(self._groups(arrived))
        self._write_records(new, changed, rows, failed)
        if restarts:
            self.judge(self._calls_before(restarts))
        return self.counts

    def judge(self, call_ids):
        """Rebuild these calls from their records: time has passed, or a rule changed.

        :return: number of calls rebuilt.
        """
        if not call_ids:
            return 0
        rows, _failed = self._rebuild(self._groups_of_calls(sorted(call_ids)))
        return len(rows)

    def _rebuild(self, groups):
        """Build the groups' calls and write them with all that hangs on them."""
        rows, gone, failed = self._build(groups)
        if rows:
            changes = self._resolve(rows, gone)
            self._join_calls(gone)
            self._write_calls(rows)
            write(self.cr, changes)
            self._write_legs(rows)
            self._write_threads(rows)
        self.counts.calls += len(rows)
        return rows, failed

    def due(self, limit=5000):
        """Open calls of this backend that have to be looked at by now."""
        self.cr.execute(
            """
            SELECT id FROM pbx_call
             WHERE is_open AND judge_at <= %s AND backend_id = %s
             ORDER BY judge_at LIMIT %s
            """,
            [self.now, self.context.backend_id, limit],
        )
        return [row[0] for row in self.cr.fetchall()]

    def _is_restart(self, record):
        return not record.threads and self.context.provider.is_restart(record)

    def _calls_before(self, restarts):
        """Calls without an answer that a restart may have cut."""
        since = min(restarts) - 2 * self.context.silence
        self.cr.execute(
            """
            SELECT id FROM pbx_call
             WHERE backend_id = %s AND started_at BETWEEN %s AND %s
               AND (is_open OR outcome IN %s)
            """,
            [self.context.backend_id, since, max(restarts), (MISSED, ABANDONED)],
        )
        return [row[0] for row in self.cr.fetchall()]

    # -- what is new ------------------------------------------

    def _sort_out(self, records):
        """Split into new records and ``(record, stored id)`` with other content."""
        unique = {record.key: record for record in records}
        known = self._known(unique)
        new, changed = [], []
        for key, record in unique.items():
            if key not in known:
                new.append(record)
                continue
            record_id, content_hash = known[key]
            if content_hash == record.content_hash:
                self.counts.unchanged += 1
            else:
                changed.append((record, record_id))
        self.counts.new += len(new)
        self.counts.changed += len(changed)
        self.counts.unchanged += len(records) - len(unique)
        return new, changed

    def _known(self, unique):
        if not unique:
            return {}
        self.cr.execute(
            "SELECT key, id, content_hash FROM pbx_record"
            " WHERE backend_id = %s AND key = ANY(%s)",
            [self.context.backend_id, list(unique)],
        )
        return {key: known for key, *known in self.cr.fetchall()}

    # -- grouping ------------------------------------------

    def _groups(self, arrived):
        """Connected sets of the arrived records and the calls they reach."""
        threads = Threads()
        for record in arrived:
            if record.threads:
                threads.add(record.threads)
        calls_of = self._calls_of_threads(threads)
        for members in calls_of.values():
            threads.add(members)
        groups = defaultdict(Group)
        for root, members in threads.groups().items():
            groups[root].threads.update(members)
        for record in arrived:
            if record.threads:
                groups[threads.find(record.threads[0])].arrived.append(record)
        for call_id, members in calls_of.items():
            groups[threads.find(members[0])].call_ids.append(call_id)
        replaced = {record.key for record in arrived}
        stored = [*self._records_of(list(calls_of)), *self._waiting(threads)]
        for record, thread in stored:
            if record.key not in replaced:
                groups[threads.find(thread)].stored.append(record)
        return list(groups.values())

    def _calls_of_threads(self, threads):
        """Calls that own one of the thread ids: call id → all its thread ids."""
        ids = threads.all()
        if not ids:
            return {}
        self.cr.execute(
            """
            SELECT t.call_id, t.thread FROM pbx_call_thread t
             WHERE t.call_id IN (
                SELECT call_id FROM pbx_call_thread
                 WHERE backend_id = %s AND thread = ANY(%s))
            """,
            [self.context.backend_id, ids],
        )
        found = defaultdict(list)
        for call_id, thread in self.cr.fetchall():
            found[call_id].append(thread)
        return found

    def _groups_of_calls(self, call_ids):
        self.cr.execute(
            "SELECT call_id, thread FROM pbx_call_thread WHERE call_id = ANY(%s)",
            [call_ids],
        )
        groups = {call_id: Group(call_ids=[call_id]) for call_id in call_ids}
        for call_id, thread in self.cr.fetchall():
            groups[call_id].threads.add(thread)
        for record, _thread in self._records_of(call_ids):
            groups[record.call_id].stored.append(record)
        # Without records (purged) there is nothing to rebuild a call from.
        return [group for group in groups.values() if group.stored and group.threads]

    def _records_of(self, call_ids):
        """Stored records of calls, each with a thread of its call."""
        if not call_ids:
            return
        self.cr.execute(
            """
            SELECT r.id, r.key, r.kind, r.occurred_at, r.payload, r.call_id, t.thread
              FROM pbx_record r
              JOIN (SELECT call_id, min(thread) AS thread FROM pbx_call_thread
                     WHERE call_id = ANY(%(ids)s) GROUP BY call_id) t USING (call_id)
             WHERE r.call_id = ANY(%(ids)s)
            """,
            {"ids": call_ids},
        )
        for *values, thread in self.cr.fetchall():
            yield StoredRecord(*values), thread

    def _waiting(self, threads):
        """Records taken earlier that told nothing of a call on their own."""
        ids = threads.all()
        if not ids:
            return
        self.cr.execute(
            """
            SELECT id, key, kind, occurred_at, payload, call_id, call_key
              FROM pbx_record
             WHERE backend_id = %s AND state = 'new' AND call_key = ANY(%s)
            """,
            [self.context.backend_id, ids],
        )
        for *values, thread in self.cr.fetchall():
            yield StoredRecord(*values), thread

    # -- building ------------------------------------------

    def _build(self, groups):
        """Facts, verdicts and rows of the groups' calls.

        :return: ``(rows, ids of calls that were joined into others, groups that
            could not be understood with the error)``.
        """
        built, failed = [], []
        restarts = self._restarts_near(groups)
        for group in groups:
            try:
                facts = self.context.provider.assemble(
                    [*group.stored, *group.arrived], restarts
                )
            except Exception as error:  # one bad record must stop nothing else
                failed.append((group, _not_understood(group, error)))
                continue
            if facts is not None:
                built.append((group, facts))
        self._complete_directory([facts for _group, facts in built])
        old = self._old_rows([i for group, _facts in built for i in group.call_ids])
        rows, gone = [], {}
        for group, facts in built:
            try:
                row = self._row(group, facts, old)
            except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                failed.append((group, _not_understood(group, error)))
                continue
            rows.append(row)
            for call_id in group.call_ids:
                if call_id != row.id:
                    gone[call_id] = row
        fresh = [row for row in rows if row.id is None]
        for row, row_id in zip(
            fresh, store.next_ids(self.cr, "pbx_call", len(fresh)), strict=True
        ):
            row.id = row_id
        return rows, gone, failed

    def _restarts_near(self, groups):
        """Restarts that may have cut one of the groups' calls."""
        times = [
            record.occurred_at
            for group in groups
            for record in (*group.stored, *group.arrived)
        ]
        if not times:
            return []
        return self.context.restarts(min(times), max(times) + self.context.silence)

    def _row(self, group, facts, old):
        """The call's row: the surviving old one, or a new one."""
        known = sorted(
            (old[call_id] for call_id in group.call_ids if call_id in old),
            key=lambda before: (before["started_at"], before["id"]),
        )
        before = known[0] if known else None
        row = CallRow(self.context, group, facts, before, known[1:])
        self._judge_row(row)
        return row

    def _judge_row(self, row):
        """Judge the call if it has ended and settled; else say when to look again."""
        facts, context = row.facts, self.context
        before = row.before
        was_judged = before and not before["is_open"]
        history = before["from_history"] if was_judged else self.history
        if facts.is_ended:
            seen_at = before["end_seen_at"] if before else None
            row.end_seen_at = facts.ended_at if history else seen_at or self.now
            judge_at = row.end_seen_at + context.settle
            is_settled = judge_at <= (self.upto if history else self.now)
        else:
            # Silent counts only as far as the source has been read.
            judge_at = facts.last_seen_at + context.silence
            is_settled = judge_at <= self.upto
        if not is_settled:
            if judge_at <= self.now and not self.history:
                judge_at = self.now + _LOOK_AGAIN
            row.leave_open(max(judge_at, self.now))
            return
        row.from_history = bool(history)
        if facts.ended_at is None:
            facts.ended_at = facts.last_seen_at
        rule = context.queue_rule(row.queue_code())
        row.choose_rule(rule, self.todays_rules)
        is_open = context.hours.is_open(rule.calendar_id, facts.started_at)
        row.set_verdict(judge(facts, row.rules, is_open))

    def _complete_directory(self, all_facts):
        """Create queues and extensions seen for the first time."""
        queues, names, aliases = {}, set(), {}
        context = self.context
        for facts in all_facts:
            for leg in facts.legs:
                if leg.queue:
                    is_queue = leg.kind == c.QUEUE or queues.get(leg.queue) == "queue"
                    queues[leg.queue] = "queue" if is_queue else "ring_group"
                if leg.operator:
                    if context.is_own_phone(leg.operator):
                        names.add(leg.operator)
                        if leg.agent and leg.kind == c.TALK:
                            aliases.setdefault(leg.agent, leg.operator)
                elif leg.agent:
                    names.add(leg.agent)
            if facts.operator and context.is_own_phone(facts.operator):
                names.add(facts.operator)
        context.add_queues(queues)
        context.add_aliases(
            {agent: number for agent, number in aliases.items()
             if number in context.extensions}
        )  # fmt: skip
        context.add_extensions(names)

    def _old_rows(self, call_ids):
        """What the database holds of these calls: id → column → value."""
        if not call_ids:
            return {}
        self.cr.execute(
            f"SELECT {', '.join(COLUMNS)} FROM pbx_call"
            " WHERE id = ANY(%s) FOR NO KEY UPDATE",
            [call_ids],
        )
        names = [column.name for column in self.cr.description]
        rows = (dict(zip(names, values, strict=True)) for values in self.cr.fetchall())
        return {row["id"]: row for row in rows}

    # -- writing ------------------------------------------

    def _resolve(self, rows, gone):
        """Clients of the calls, what became of their misses, and of older ones."""
        context = self.context
        keys = {row.client_key for row in rows}
        keys |= {row.before["client_key"] for row in rows if row.before}
        clients = Clients(context.env, context.company, keys)
        for row in rows:
            row.set_client(clients)
        judged = [row for row in rows if not row.is_open]
        resolver = Resolver(context.env, context.company, self.now, clients)
        return resolver.run(keys, judged, list(gone))

    def _write_calls(self, rows):
        stamp = (self.now, 1, self.now, 1)
        new = [row for row in rows if row.is_new]
        store.copy(
            self.cr,
            "pbx_call",
            (*COLUMNS, "create_date", "create_uid", "write_date", "write_uid"),
            ((*row.values(), *stamp) for row in new),
        )
        changed = [row.changes() for row in rows if not row.is_new]
        store.update(
            self.cr,
            "pbx_call",
            UPDATE_TYPES,
            [dict(values, write_date=self.now) for values in changed if values],
        )

    def _join_calls(self, gone):
        """Calls that turned out to be parts of others: links go over, rows go."""
        for table, column in (
            ("pbx_call", "fix_call_id"),
            ("pbx_callback", "done_call_id"),
            ("pbx_record", "call_id"),
            ("pbx_call_thread", "call_id"),
        ):
            for call_id, row in gone.items():
                self.cr.execute(
                    f"UPDATE {table} SET {column} = %s WHERE {column} = %s",
                    [row.id, call_id],
                )
        if gone:
            self.cr.execute("DELETE FROM pbx_call WHERE id = ANY(%s)", [list(gone)])

    def _write_legs(self, rows):
        known = [row.id for row in rows if not row.is_new]
        if known:
            self.cr.execute("DELETE FROM pbx_call_leg WHERE call_id = ANY(%s)", [known])
        store.copy(
            self.cr,
            "pbx_call_leg",
            LEG_COLUMNS,
            (leg for row in rows for leg in row.leg_rows()),
        )

    def _write_threads(self, rows):
        backend_id = self.context.backend_id
        wanted = {thread: row.id for row in rows for thread in row.group.threads}
        known = [row.id for row in rows if not row.is_new]
        if known:
            self.cr.execute(
                "SELECT thread FROM pbx_call_thread WHERE call_id = ANY(%s)", [known]
            )
            for (thread,) in self.cr.fetchall():
                wanted.pop(thread, None)
        store.copy(
            self.cr,
            "pbx_call_thread",
            ("backend_id", "thread", "call_id"),
            ((backend_id, thread, call_id) for thread, call_id in wanted.items()),
        )

    # -- records ------------------------------------------

    def _write_records(self, new, changed, rows, failed):
        """Insert new records linked to their calls already; replace changed ones."""
        call_of = {record.key: row.id for row in rows for record in row.group.arrived}
        errors = {
            record.key: error for group, error in failed for record in group.arrived
        }
        store.copy(
            self.cr,
            "pbx_record",
            RECORD_COLUMNS,
            (self._record_row(record, call_of, errors) for record in new),
        )
        store.update(
            self.cr,
            "pbx_record",
            {
                "id": "bigint",
                "payload": "jsonb",
                "content_hash": "text",
                "occurred_at": "timestamp",
                "state": "text",
                "error": "text",
                "call_id": "integer",
            },
            [
                {
                    "id": record_id,
                    "payload": record.payload,
                    "content_hash": record.content_hash,
                    "occurred_at": record.occurred_at,
                    "state": self._state(record, call_of, errors),
                    "error": errors.get(record.key),
                    "call_id": call_of.get(record.key),
                }
                for record, record_id in changed
            ],
        )
        absorbed = [
            {"id": record.id, "state": "assembled", "call_id": row.id}
            for row in rows
            for record in row.group.stored
            if record.call_id is None
        ]
        store.update(
            self.cr,
            "pbx_record",
            {"id": "bigint", "state": "text", "call_id": "integer"},
            absorbed,
        )

    def _state(self, record, call_of, errors):
        if record.key in errors:
            return "rejected"
        if record.threads and record.key not in call_of:
            return "new"  # waits for the record that makes it a call
        return "assembled"

    def _record_row(self, record, call_of, errors):
        context = self.context
        return (
            context.backend_id,
            context.company_id,
            record.key,
            record.kind,
            record.threads[0] if record.threads else None,
            record.occurred_at,
            self.now,
            1,
            store.to_json(record.payload),
            record.content_hash,
            self._state(record, call_of, errors),
            errors.get(record.key),
            call_of.get(record.key),
        )

    def _quarantine(self, rejected):
        """Keep what could not be read, with the reason; seen again it is no news."""
        unique = {item.key: item for item in rejected}
        for item in unique.values():
            self.cr.execute(
                """
                INSERT INTO pbx_record (backend_id, company_id, key, kind, received_at,
                                        seen_count, payload, state, error)
                VALUES (%s, %s, %s, %s, %s, 1, %s::jsonb, 'rejected', %s)
                ON CONFLICT (backend_id, key) DO UPDATE
                   SET seen_count = pbx_record.seen_count + 1, error = EXCLUDED.error
                 WHERE pbx_record.state = 'rejected'
                   AND pbx_record.error IS DISTINCT FROM EXCLUDED.error
                """,
                [
                    self.context.backend_id,
                    self.context.company_id,
                    item.key,
                    item.kind,
                    self.now,
                    store.to_json(item.payload or {"raw": item.raw}),
                    item.error,
                ],
            )
            self.counts.rejected += self.cr.rowcount


def _not_understood(group, error):
    """Log what a group's records could not be made, once; return it for people."""
    _logger.warning(
        "Records of call %s were not understood", call_key(group.threads), exc_info=True
    )
    return f"{type(error).__name__}: {error}"
