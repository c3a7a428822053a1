# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Misses and the callbacks they go to: one open callback per client and company."""

from collections import defaultdict

from odoo.fields import Domain

from . import responsible
from .callback_activities import client_line, nobody_text
from .partners import Clients


class Book:
    """Entries for clients, found by any number of theirs.

    Two numbers are one client's if a talk with either fixes the misses of both, so if
    the numbers that count for each (``partners.Clients``) are the same. That both
    belong to one contact is not enough: of numbers several people share, each is
    called for itself, and in one callback the second would never be called.

    An entry is whatever was entered for a client: the id of a callback, or a list of
    misses.
    """

    def __init__(self, run, rows=(), clients=None):
        """:param rows: all that will be asked for: dicts with ``client_key``"""
        self.run = run
        self.rows = rows
        self.clients = clients or Clients(
            run.env, run.company, {row["client_key"] for row in rows}
        )
        self._entries = {}

    def load(self):
        """Enter the open callbacks of these clients."""
        numbers = set()
        for row in self.rows:
            numbers |= self._client(row["client_key"])
        domain = Domain("client_number", "in", sorted(numbers))
        found = self.run.callbacks.search(self.run.open_domain() & domain, order="id")
        keys = set(found.mapped("client_number"))
        clients = Clients(self.run.env, self.run.company, keys)
        for callback in found:
            client = clients.numbers(callback.client_number)
            self._entries.setdefault(client, callback.id)

    def _client(self, number):
        """All numbers of the client: what identifies him."""
        return self.clients.numbers(number)

    def find(self, row):
        """The entry of the client of ``row``, or None."""
        return self._entries.get(self._client(row["client_key"]))

    def enter(self, entry, rows):
        """Note ``entry`` for the clients of ``rows``; the first one noted stays."""
        for row in rows:
            self._entries.setdefault(self._client(row["client_key"]), entry)


def by_client(run, rows):
    """Misses that may share a callback, as lists; the order of ``rows`` is kept.

    Lists are what is tried together: misses of one client must not be in two parts,
    since the second would break the unique index the first one filled.
    """
    book = Book(run, rows)
    groups = []
    for row in rows:
        group = book.find(row)
        if group is None:
            group = []
            groups.append(group)
        book.enter(group, [row])
        group.append(row)
    return groups


def settle_into_callbacks(run, book, rows, is_news):
    """Give misses to the open callbacks of their clients, or to new ones.

    :param rows: misses (``facts.MISS_COLUMNS``), the earliest of a client first
    :param is_news: whether contact and lead get a line about each
    """
    rows = own_links(run, rows)
    joining, founding = defaultdict(list), []
    groups = Book(run, rows, book.clients)
    for row in rows:
        entry = book.find(row)
        if entry is not None:
            joining[entry].append(row)
            continue
        group = groups.find(row)
        if group is None:
            group = []
            founding.append(group)
        groups.enter(group, [row])
        group.append(row)
    _join(run, joining, is_news)
    _found(run, founding, is_news)
    if is_news:
        client_line(run, rows, _missed_line)


def own_links(run, rows):
    """``rows`` without contacts and leads that went to another company meanwhile."""
    allowed = {}
    for model, name in (("res.partner", "partner_id"), ("crm.lead", "lead_id")):
        records = run.env[model].browse({row[name] for row in rows if row[name]})
        allowed[name] = {
            record.id
            for record in records.exists()
            if record.company_id.id in (False, run.company.id)
        }
    return [
        {
            **row,
            **{
                name: row[name] if row[name] in ids else None
                for name, ids in allowed.items()
            },
        }
        for row in rows
    ]


def _missed_line(run, row):
    return run.env._("Missed call on %(time)s.", time=run.moment(row["started_at"]))


def _join(run, joining, is_news):
    if not joining:
        return
    absorb(run, joining)
    run.counts["joined"] += sum(len(rows) for rows in joining.values())
    if is_news:
        run.note(
            {
                callback_id: [
                    run.env._(
                        "The client rang again on %(time)s and was missed.",
                        time=run.moment(row["started_at"]),
                    )
                    for row in rows
                ]
                for callback_id, rows in joining.items()
            }
        )


def absorb(run, joining):
    """Open callbacks take over misses: ``{callback id: misses}``."""
    run.claim(joining)
    run.link("callback_id", {key: _ids(rows) for key, rows in joining.items()})
    for callback in run.callbacks.browse(joining):
        rows = joining[callback.id]
        values = {}
        for name in ("partner_id", "lead_id", "queue_id", "client_name"):
            known = next((row[name] for row in rows if row[name]), None)
            if known and not callback[name]:
                values[name] = known
        said = callback.said_done_at
        if said and any(row["started_at"] > said for row in rows):
            # he was called before this miss, if at all
            values.update(said_done_at=False, said_done_by=False)
        if values:
            callback.write(values)


def _found(run, groups, is_news):
    """New callbacks, one per list of misses."""
    if not groups:
        return
    values = [_prepare(run, rows) for rows in groups]
    choices = responsible.choose(
        run.env,
        run.company,
        [
            responsible.Request(
                key=index,
                numbers=sorted({row["client_key"] for row in rows}),
                partner_id=values[index].get("partner_id"),
                lead_id=values[index].get("lead_id"),
                queue_id=values[index].get("queue_id"),
                call_ids=_ids(reversed(rows)),
                backend_id=rows[0]["backend_id"],
            )
            for index, rows in enumerate(groups)
        ],
        run.now,
    )
    for index, vals in enumerate(values):
        vals["user_id"] = choices[index].user_id
    run.reserve({vals["client_number"] for vals in values})
    callbacks = run.callbacks.create(values)
    links = zip(callbacks.ids, groups, strict=True)
    run.link("callback_id", {key: _ids(rows) for key, rows in links})
    notes = {
        callback.id: nobody_text(run)
        for index, callback in enumerate(callbacks)
        if choices[index].is_fallback
    }
    run.counts["created"] += len(callbacks)
    run.note(notes)
    # the index speaks here, inside the part it concerns, and not somewhere later
    run.env.flush_all()


def _ids(rows):
    return [row["id"] for row in rows]


def _prepare(run, rows):
    """Values of a callback for the misses of one client."""
    deadlines = [row["deadline_at"] for row in rows if row["deadline_at"]]
    deadline = min(deadlines, default=False)
    values = {
        "company_id": run.company.id,
        "client_number": rows[0]["client_key"],
        "deadline_at": deadline,
        "state": "overdue" if deadline and deadline < run.now else "todo",
        "missed_count": len(rows),
        "first_missed_at": min(row["started_at"] for row in rows),
        "last_missed_at": max(row["ended_at"] or row["started_at"] for row in rows),
    }
    for name in ("partner_id", "lead_id", "queue_id", "client_name"):
        values[name] = next((row[name] for row in rows if row[name]), False)
    return values


def requests(run, callbacks):
    """Requests for the responsible of existing callbacks, by callback id."""
    callbacks.fetch(["partner_id", "lead_id", "queue_id", "client_number"])
    misses = run.env["pbx.call"].search_fetch(
        [("callback_id", "in", callbacks.ids)],
        ["callback_id", "client_key", "backend_id"],
        order="started_at desc, id desc",
    )
    by_callback = misses.grouped("callback_id")
    found = []
    for callback in callbacks:
        calls = by_callback.get(callback, misses.browse())
        keys = {callback.client_number, *calls.mapped("client_key")}
        found.append(
            responsible.Request(
                key=callback.id,
                numbers=sorted(key for key in keys if key),
                partner_id=callback.partner_id.id,
                lead_id=callback.lead_id.id,
                queue_id=callback.queue_id.id,
                call_ids=calls.ids,
                backend_id=calls[:1].backend_id.id,
            )
        )
    return found
