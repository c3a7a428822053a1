# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""What people see of a callback: one activity, notes, a line on contact and lead."""

import logging

from markupsafe import Markup

from odoo import fields
from odoo.tools import format_date

from . import callback_facts as facts
from . import responsible
from .callback_run import in_zone, zone_of

_logger = logging.getLogger(__name__)

# An activity lists so many misses; the callback's own list has them all.
_LISTED = 10


def ensure(run):
    """An activity for every open callback, with the person responsible for it.

    Activities deleted by hand come back, and so do those said to be done that no call
    proved in time.
    """
    if not run.activity_type:
        _logger.warning("The activity type of callbacks is gone: no activities made.")
        return
    rows = {row["id"]: row for row in facts.activities(run)}

    def act(callback_ids):
        run.claim(callback_ids)
        missing = [key for key in callback_ids if not rows[key]["activity_id"]]
        _create(run, [rows[key] for key in missing])
        _follow(run, [rows[key] for key in callback_ids if rows[key]["activity_id"]])

    run.in_parts(rows, act)


def _create(run, rows):
    if not rows:
        return
    callbacks = run.callbacks.browse([row["id"] for row in rows])
    unproved = run.callbacks.browse([row["id"] for row in rows if row["said_done"]])
    prefaces = {callback.id: _unproved_text(run, callback) for callback in unproved}
    unproved.write({"said_done_at": False, "said_done_by": False})
    run.note(prefaces)
    wordings = _wordings(run, callbacks, prefaces)
    model_id = run.env["ir.model"]._get_id("pbx.callback")
    run.env["mail.activity"].create(
        [
            {
                "activity_type_id": run.activity_type.id,
                "automated": True,
                "res_model_id": model_id,
                "res_id": callback.id,
                "user_id": callback.user_id.id,
                **wordings[callback.id],
            }
            for callback in callbacks
        ]
    )
    run.counts["activities"] += len(callbacks)
    run.counts["unproved"] += len(unproved)


def _unproved_text(run, callback):
    return run.env._(
        "%(user)s marked this done on %(time)s, but no call with the client was found "
        "since.",
        user=callback.said_done_by.name or run.env._("Somebody"),
        time=run.moment(callback.said_done_at),
    )


def _follow(run, rows):
    """Activities somebody gave to another person: he is responsible then."""
    if not rows:
        return
    users = {row["activity_user_id"] for row in rows if row["activity_user_id"]}
    users = responsible.able(run.env, run.company, users)
    users = responsible.present(run.env, users, run.now)
    moved = run.callbacks
    for row in rows:
        callback = run.callbacks.browse(row["id"])
        if row["activity_user_id"] in users:
            callback.write({"user_id": row["activity_user_id"]})
            run.note({callback.id: _handed_text(run, callback)})
        else:
            activity = run.env["mail.activity"].browse(row["activity_id"])
            activity.write({"user_id": callback.user_id.id})
        moved += callback
    renew(run, moved, is_moved=True)


def _handed_text(run, callback):
    return run.env._("Responsible: %(user)s.", user=callback.user_id.name)


def hand_over(run, moving):
    """Make others responsible, because those who were cannot call back.

    :param moving: ``(callback, former user, responsible.Choice)``
    """
    notes = {}
    moved = run.callbacks
    for callback, former, choice in moving:
        callback.write({"user_id": choice.user_id})
        text = _handed_text(run, callback)
        if former:
            text = run.env._(
                "Responsible: %(user)s, because %(former)s is not available.",
                user=callback.user_id.name,
                former=former.name,
            )
        notes[callback.id] = [text, *([nobody_text(run)] if choice.is_fallback else [])]
        activities = callback._callback_activities()
        activities.write({"user_id": choice.user_id})
        moved += callback
    run.counts["reassigned"] += len(moving)
    run.note(notes)
    renew(run, moved, is_moved=True)


def nobody_text(run):
    """What the administrator has to do who got a callback for want of others."""
    return run.env._(
        "Nobody who may see callbacks is available: add members or a supervisor to the "
        "queue group, or name a responsible of last resort in the settings."
    )


def renew(run, callbacks, is_moved=False):
    """Bring the activities of callbacks up to date with count, deadline and person.

    A day somebody chose by hand stays, unless the deadline or the person changed.
    """
    if not callbacks or not run.activity_type:
        return
    wordings = _wordings(run, callbacks, {})
    for callback in callbacks:
        wording = wordings[callback.id]
        for activity in callback._callback_activities().filtered("automated"):
            values = dict(wording)
            if not is_moved and activity.summary == values["summary"]:
                del values["date_deadline"]  # the deadline is where it was
            activity.write(values)


def close(run, closing):
    """End the activities of closed callbacks and say why.

    :param closing: ``(callback, state)``, the state one of ``done``, ``late``,
        ``dismissed``, ``cancelled``
    """
    if not closing:
        return
    activities = (
        run.env["mail.activity"]
        .search(
            [
                ("res_model", "=", "pbx.callback"),
                ("res_id", "in", [callback.id for callback, _state in closing]),
                ("activity_type_id", "in", run.activity_type.ids),
            ]
        )
        .grouped("res_id")
    )
    notes, reached, feedbacks = {}, [], []
    for callback, state in closing:
        mine = activities.get(callback.id, run.env["mail.activity"])
        if state in ("done", "late"):
            text = _proof_text(run, callback, state)
            reached.append((callback, text))
            if mine:
                feedbacks.append((mine, text))
            else:
                notes[callback.id] = text
            continue
        mine.unlink()
        if state == "cancelled":
            notes[callback.id] = run.env._("Withdrawn: no miss of the client is left.")
        else:
            notes[callback.id] = run.env._("All misses of the client were dismissed.")
    _give_feedback(run, feedbacks)
    run.note(notes)
    client_line(
        run,
        [
            {
                "partner_id": callback.partner_id.id,
                "lead_id": callback.lead_id.id,
                "text": text,
            }
            for callback, text in reached
        ],
        lambda _run, row: row["text"],
    )


def _give_feedback(run, feedbacks):
    """Finish activities: ``(activities of one callback, text)``.

    What ``action_feedback`` does, for all at once: posting one by one costs more than
    the rest of a run. It is left to Odoo where there is more to it than a line.
    """
    if not feedbacks:
        return
    attached = run.env["ir.attachment"].search_fetch(
        [
            ("res_model", "=", "mail.activity"),
            ("res_id", "in", [key for mine, _text in feedbacks for key in mine.ids]),
        ],
        ["res_id"],
    )
    attached = set(attached.mapped("res_id"))
    plain, bodies = run.env["mail.activity"], {}
    for mine, text in feedbacks:
        if len(mine) > 1 or attached.intersection(mine.ids) or not _is_plain(mine):
            mine.action_feedback(feedback=text)
            continue
        plain += mine
        bodies[mine.res_id] = run.env["ir.qweb"]._render(
            "mail.message_activity_done",
            {"activity": mine, "feedback": text, "display_assignee": True},
        )
        mine.feedback = text
    if plain:
        messages = run.callbacks.browse(bodies)._message_log_batch(bodies)
        messages.write(
            {
                "subtype_id": run.env.ref("mail.mt_activities").id,
                "mail_activity_type_id": run.activity_type.id,
            }
        )
        plain.action_archive()


def _is_plain(activity):
    """Whether nothing follows when it is done."""
    return (
        activity.automated
        and activity.chaining_type != "trigger"
        # a meeting gets the feedback, too, where calendars are installed
        and not ("calendar_event_id" in activity and activity.calendar_event_id)
    )


def _proof_text(run, callback, state):
    """Who reached the client, when, in which call."""
    call = callback.done_call_id
    who = call.user_id.name or call.agent or call.extension_id.number
    values = {
        "who": who or run.env._("An operator"),
        "time": run.moment(callback.done_at),
        "call": call.call_key or "–",
    }
    if call.direction == "inbound":
        text = run.env._(
            "Reached: the client rang again on %(time)s and %(who)s answered "
            "(call %(call)s).",
            **values,
        )
    else:
        text = run.env._(
            "Reached: %(who)s called back on %(time)s (call %(call)s).", **values
        )
    if state == "late":
        late = run.env._(
            "Too late: the deadline was %(time)s.",
            time=run.moment(callback.deadline_at),
        )
        text = f"{text}\n{late}"
    return text


def client_line(run, rows, line):
    """A line on the contact and on the lead about each of ``rows``.

    :param rows: dicts with ``partner_id`` and ``lead_id``
    :param line: ``line(run, row)`` gives the text
    """
    for model, name in (("res.partner", "partner_id"), ("crm.lead", "lead_id")):
        bodies = {}
        for row in rows:
            if row[name]:
                bodies.setdefault(row[name], []).append(line(run, row))
        run.note(bodies, model=model)


# -- words of the activity -------------------------------------------------------


def _wordings(run, callbacks, prefaces):
    """Day, summary and note of the activities, in the words of who reads them.

    :param prefaces: text that goes first, by callback id
    """
    misses = (
        run.env["pbx.call"]
        .search(
            [("callback_id", "in", callbacks.ids)], order="started_at desc, id desc"
        )
        .grouped("callback_id")
    )
    wordings = {}
    for user, part in callbacks.grouped("user_id").items():
        part = part.with_context(lang=user.lang or run.env.lang)
        zone = zone_of(run.company, user)
        for callback in part:
            calls = misses.get(callback, run.env["pbx.call"]).with_env(part.env)
            wordings[callback.id] = _wording(
                callback, calls, zone, prefaces.get(callback.id)
            )
    return wordings


def _wording(callback, calls, zone, preface):
    env = callback.env
    client = callback.partner_id.name
    client = f"{client}, {callback.client_number}" if client else callback.client_number
    deadline = callback.deadline_at
    local = in_zone(deadline or fields.Datetime.now(), zone)
    values = {"client": client, "hour": f"{local:%H:%M}", "count": len(calls)}
    if not deadline:
        summary = env._("Call back %(client)s", client=client)
    elif len(calls) > 1:
        summary = env._(
            "Call back %(client)s until %(hour)s, missed %(count)s times", **values
        )
    else:
        summary = env._("Call back %(client)s until %(hour)s", **values)
    lines = [_miss_line(call, zone) for call in calls[:_LISTED]]
    note = Markup()
    if preface:
        note += Markup("<p>%s</p>") % preface
    if callback.client_name:
        note += Markup("<p>%s</p>") % env._(
            "The line announced “%(name)s”.", name=callback.client_name
        )
    note += Markup("<ul>%s</ul>") % Markup().join(
        Markup("<li>%s</li>") % line for line in lines
    )
    if len(calls) > _LISTED:
        note += Markup("<p>%s</p>") % env._(
            "and %(count)s earlier ones", count=len(calls) - _LISTED
        )
    return {"date_deadline": local.date(), "summary": summary, "note": note}


def _miss_line(call, zone):
    """One miss: when, where, why, and how long the client waited."""
    env = call.env
    local = in_zone(call.started_at, zone)
    reasons = dict(call._fields["reason"]._description_selection(env))
    parts = [
        f"{format_date(env, local.date())} {local:%H:%M}",
        call.queue_id.name,
        reasons.get(call.reason),
    ]
    if call.wait_seconds is not False:
        minutes, seconds = divmod(call.wait_seconds, 60)
        parts.append(env._("waited %(time)s", time=f"{minutes}:{seconds:02}"))
    if call.has_voicemail:
        parts.append(env._("left a message"))
    return " · ".join(part for part in parts if part)
