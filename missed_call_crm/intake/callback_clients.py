# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Who a callback is for may change: contacts are merged, get numbers and lose some."""

from datetime import datetime

from odoo.fields import Domain

from . import callback_activities as activities
from . import callback_debts as debts
from . import callback_facts as facts
from .partners import Clients


def renumber(run):
    """Callbacks whose own number is owed no more get one that is.

    Its misses go to the open callback of that number, if there is one.
    """
    by_callback = {}
    for row in debts.own_links(run, facts.strays(run)):
        by_callback.setdefault(row["callback_id"], []).append(row)

    def act(callback_ids):
        run.claim(callback_ids)
        rows = [row for key in callback_ids for row in by_callback[key]]
        book = debts.Book(run, rows)
        book.load()
        renumbered, notes = run.callbacks, {}
        for callback in run.callbacks.browse(callback_ids):
            moving, staying = {}, []
            for row in by_callback[callback.id]:
                entry = book.find(row)
                if entry in (None, callback.id):
                    staying.append(row)
                else:
                    moving.setdefault(entry, []).append(row)
            if moving:
                debts.absorb(run, moving)
                run.counts["moved"] += sum(len(part) for part in moving.values())
            if not staying:
                continue
            number = staying[0]["client_key"]
            values = {"client_number": number}
            for name in ("partner_id", "lead_id", "client_name"):
                if staying[0][name]:
                    values[name] = staying[0][name]
            callback.write(values)
            # the index speaks here, and the next one finds this one
            callback.flush_recordset()
            book.enter(callback.id, staying[:1])
            renumbered += callback
            notes[callback.id] = run.env._(
                "To be called now: %(number)s. The misses from the number before are "
                "settled, which does not count for those from this one.",
                number=number,
            )
        run.counts["renumbered"] += len(renumbered)
        run.note(notes)
        activities.renew(run, renumbered)

    run.in_parts(by_callback, act)


def unite(run):
    """Open callbacks of what has become one client become one.

    The one with the earliest deadline stays and takes over misses and attempts.
    """
    numbers = facts.alike(run)
    if not numbers:
        return
    clients = Clients(run.env, run.company, numbers)
    found = run.callbacks.search(
        run.open_domain() & Domain("client_number", "in", numbers), order="id"
    )
    groups = {}
    for callback in found:
        groups.setdefault(clients.numbers(callback.client_number), []).append(callback)
    by_survivor = {}
    for group in groups.values():
        stays, *others = sorted(
            group, key=lambda callback: callback.deadline_at or datetime.max
        )
        if others:
            by_survivor[stays.id] = [callback.id for callback in others]

    def act(callback_ids):
        gone = [key for stays in callback_ids for key in by_survivor[stays]]
        run.claim(sorted([*callback_ids, *gone]))
        misses, attempts = {}, {}
        for row in debts.own_links(run, facts.misses_of(run, gone)):
            misses.setdefault(row["callback_id"], []).append(row)
        for call in run.env["pbx.call"].search([("attempt_callback_id", "in", gone)]):
            attempts.setdefault(call.attempt_callback_id.id, []).append(call.id)
        notes = {}
        for stays in run.callbacks.browse(callback_ids):
            others = run.callbacks.browse(by_survivor[stays.id])
            debts.absorb(
                run,
                {stays.id: [row for key in others.ids for row in misses.get(key, ())]},
            )
            tried = [call for key in others.ids for call in attempts.get(key, ())]
            if tried:
                run.link("attempt_callback_id", {stays.id: tried})
            notes[stays.id] = run.env._(
                "One client with %(numbers)s by now: the misses of both are here.",
                numbers=", ".join(others.mapped("client_number")),
            )
            for other in others:
                notes[other.id] = run.env._(
                    "One client with %(number)s by now: the callback there has the "
                    "misses.",
                    number=stays.client_number,
                )
        gone = run.callbacks.browse(gone)
        gone.write(
            {
                "state": "cancelled",
                "missed_count": 0,
                "attempt_count": 0,
                "said_done_at": False,
                "said_done_by": False,
            }
        )
        gone._callback_activities().unlink()
        run.counts["united"] += len(gone)
        run.note(notes)

    run.in_parts(by_survivor, act)
