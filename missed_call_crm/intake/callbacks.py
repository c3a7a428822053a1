# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Callbacks follow from the resolutions of calls: made, joined, closed, opened again.

Each step asks the database what is not as it should be (``callback_facts``) and acts
on those few rows with the ORM, where hooks, chatter and activities belong. So the
steps may run at any time and any number of times.
"""

import logging
from collections import Counter

from odoo import fields
from odoo.fields import Domain
from odoo.tools import SQL

from . import callback_activities as activities
from . import callback_clients as clients
from . import callback_debts as debts
from . import callback_facts as facts
from . import responsible
from .callback_run import OVERTAKEN, Run

_logger = logging.getLogger(__name__)


def sync(env, company_ids=None, now=None):
    """Bring callbacks and activities in line with the calls.

    Best called first thing in a transaction: what others committed since its start is
    not seen, and left to the next run.

    :param company_ids: companies to look at; all by default
    :param now: naive UTC, the present by default
    :return: what was done: ``{"created", "joined", "done", "late", "cancelled",
        "reopened", "moved", "renumbered", "united", "reassigned", "overdue",
        "activities", "overtaken", "failed"…: count}``; names that did not happen are
        absent.
    """
    now = now or fields.Datetime.now()
    # intake writes by SQL: nothing in the cache can be trusted
    env.invalidate_all()
    if company_ids is None:
        company_ids = [
            row[0] for row in env.execute_query(SQL("SELECT id FROM res_company"))
        ]
    counts = Counter()
    for company_id in sorted(company_ids):
        counts.update(_sync_company(env, company_id, now))
    env.invalidate_all()
    return {name: count for name, count in counts.items() if count}


def _sync_company(env, company_id, now):
    run = Run(env, company_id, now)
    try:
        with env.cr.savepoint():
            settings = run.lock()
            _reopen(run)
            _forget_attempts(run)
            clients.renumber(run)
            clients.unite(run)
            _settle(run)
            _owe(run)
            _count_attempts(run)
            _refresh(run)
            _reassign(run)
            activities.ensure(run)
            run.restore(settings)
    except OVERTAKEN as error:
        # another worker has the company; what is left then is for the next run
        _logger.info("Callbacks of company %s left to others: %s", company_id, error)
        run.counts["overtaken"] += 1
    if run.counts["overtaken"]:
        cron = env.ref("missed_call_crm.ir_cron_follow_up", raise_if_not_found=False)
        if cron:
            cron.sudo()._trigger()
    return run.counts


def _reopen(run):
    """Closed callbacks with misses that are owed again."""
    rows = facts.owed_again(run)
    by_callback = {}
    for row in rows:
        by_callback.setdefault(row["callback_id"], []).append(row)

    def act(callback_ids):
        run.claim(callback_ids)
        own = {}
        for key in callback_ids:
            number = by_callback[key][0]["client_number"]
            own[key] = {"client_key": number}
        chosen = [row for key in callback_ids for row in by_callback[key]]
        book = debts.Book(run, [*own.values(), *chosen])
        book.load()
        moved = []
        for callback_id in callback_ids:
            misses = by_callback[callback_id]
            has_open = any(book.find(row) for row in [own[callback_id], *misses])
            if has_open or misses[0]["callback_state"] == "dismissed":
                # a dismissal stands, what it did not cover is a debt of its own
                moved += misses
                continue
            _open_again(run, run.callbacks.browse(callback_id))
            book.enter(callback_id, [own[callback_id], *misses])
        if moved:
            run.counts["moved"] += len(moved)
            debts.settle_into_callbacks(run, book, moved, is_news=False)

    run.in_parts(by_callback, act)


def _open_again(run, callback):
    callback.write(
        {
            "state": "todo",
            "done_at": False,
            "done_call_id": False,
            "said_done_at": False,
            "said_done_by": False,
        }
    )
    run.counts["reopened"] += 1
    run.note(
        {
            callback.id: run.env._(
                "Open again: by the records the client was not reached after all."
            )
        }
    )


def _settle(run):
    """Misses that are none any more leave; callbacks that owe nothing are closed."""
    rows = {
        row["id"]: row
        for row in facts.changed(run)
        if row["withdrawn"]
        or (not row["owed"] and row["state"] != row["old_state"])
        or (not row["is_open"] and not row["owed"])
    }

    def act(callback_ids):
        run.claim(callback_ids)
        _withdraw(run, [key for key in callback_ids if rows[key]["withdrawn"]])
        closing = []
        # one recordset, so that whatever is read is read for all of the part
        for callback in run.callbacks.browse(callback_ids):
            row = rows[callback.id]
            if row["owed"]:
                continue
            proved = row["state"] in ("done", "late")
            values = {
                name: row[name] for name in ("state", "missed_count", "attempt_count")
            }
            for name in ("first_missed_at", "last_missed_at", "last_attempt_at"):
                values[name] = row[name] or False
            values["done_at"] = (row["done_at"] or run.now) if proved else False
            values["done_call_id"] = (row["done_call_id"] or False) if proved else False
            callback.write(values)
            if row["is_open"]:
                closing.append((callback, row["state"]))
            elif row["state"] != row["old_state"]:
                labels = dict(
                    run.callbacks._fields["state"]._description_selection(run.env)
                )
                run.note(
                    {
                        callback.id: run.env._(
                            "Corrected by later records: %(state)s.",
                            state=labels[row["state"]],
                        )
                    }
                )
        activities.close(run, closing)
        run.counts.update(state for _callback, state in closing)

    run.in_parts(rows, act, size=50)


def _withdraw(run, callback_ids):
    """Calls that turned out to be answered leave their callbacks."""
    if not callback_ids:
        return
    calls = run.env["pbx.call"].search(
        [("callback_id", "in", callback_ids), ("resolution", "=", False)]
    )
    notes = {}
    for call in calls:
        notes.setdefault(call.callback_id.id, []).append(
            run.env._(
                "The call of %(time)s was no miss, by a record that came late.",
                time=run.moment(call.started_at),
            )
        )
    run.counts["withdrawn"] += len(calls)
    calls.write({"callback_id": False})
    run.note(notes)


def _owe(run):
    """Misses without callback get one."""
    rows = facts.debts(run)
    if not rows:
        return
    groups = {group[0]["id"]: group for group in debts.by_client(run, rows)}

    def act(first_ids):
        chosen = [row for first_id in first_ids for row in groups[first_id]]
        book = debts.Book(run, chosen)
        book.load()
        debts.settle_into_callbacks(run, book, chosen, is_news=True)

    run.in_parts(groups, act)


def _forget_attempts(run):
    """Calls counted as attempts that turned out to have reached the client."""

    def act(call_ids):
        run.env["pbx.call"].browse(call_ids).write({"attempt_callback_id": False})

    run.in_parts(facts.no_attempts(run), act)


def _count_attempts(run):
    """Link outbound calls that were tries to call back."""
    found = facts.attempts(run)

    def act(callback_ids):
        run.link("attempt_callback_id", {key: found[key] for key in callback_ids})
        run.counts["attempts"] += sum(len(found[key]) for key in callback_ids)

    run.in_parts(found, act)


def _refresh(run):
    """Counts, deadline and the state that follows from it, as the calls have them."""
    run.env.flush_all()
    rows = {row["id"]: row for row in facts.changed(run)}

    def act(callback_ids):
        renewed = []
        for callback in run.callbacks.browse(callback_ids):
            row = rows[callback.id]
            names = ["attempt_count", "last_attempt_at"]
            if row["is_open"]:
                if not row["owed"]:
                    continue  # could not be closed, or has just been emptied
                names += ["missed_count", "first_missed_at", "last_missed_at"]
                names += ["deadline_at", "state"]
                if row["state"] == "overdue" and row["old_state"] == "todo":
                    run.counts["overdue"] += 1
                if row["deadline_moved"] or row["misses_differ"]:
                    renewed.append(callback.id)
            callback.write(
                {name: False if row[name] is None else row[name] for name in names}
            )
        activities.renew(run, run.callbacks.browse(renewed))

    run.in_parts(rows, act)


def _reassign(run):
    """Nobody absent, archived or without access stays responsible."""
    groups = run.callbacks._read_group(run.open_domain(), ["user_id"], ["__count"])
    user_ids = {user.id for user, _count in groups if user}
    able = responsible.able(run.env, run.company, user_ids)
    present = responsible.present(run.env, able, run.now)
    gone = user_ids - present
    if not gone and all(user for user, _count in groups):
        return
    callbacks = run.callbacks.search(
        run.open_domain() & Domain("user_id", "in", [*gone, False]), order="id"
    )

    def act(callback_ids):
        part = run.callbacks.browse(callback_ids)
        choices = responsible.choose(
            run.env, run.company, debts.requests(run, part), run.now
        )
        moving = []
        for callback in part:
            choice, old = choices[callback.id], callback.user_id
            if old.id == choice.user_id or (choice.is_fallback and old.id in able):
                continue  # nobody better: he gets it when he is back
            moving.append((callback, old, choice))
        run.claim([callback.id for callback, _old, _choice in moving])
        activities.hand_over(run, moving)

    run.in_parts(callbacks.ids, act)
