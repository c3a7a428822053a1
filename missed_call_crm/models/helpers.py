# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

"""Small things calls and callbacks have in common."""

from odoo.exceptions import UserError, ValidationError
from odoo.fields import Domain

DISMISS_REASONS = [
    ("spam", "Spam"),
    ("wrong_number", "Wrong number"),
    ("handled_otherwise", "Handled otherwise"),
    ("duplicate", "Duplicate"),
    ("other", "Other"),
]


def check_dismissal(env, reason, note):
    """The note as to be stored, if a dismissal may be made with these words.

    :raise UserError: unknown reason, or ``other`` without a note
    """
    if reason not in dict(DISMISS_REASONS):
        raise UserError(
            env._(
                "Give one of these reasons: %(reasons)s.",
                reasons=", ".join(dict(DISMISS_REASONS)),
            )
        )
    note = (note or "").strip()
    if reason == "other" and not note:
        raise UserError(env._("Say in a note why nobody needs to call."))
    return note or False


def dismiss_action(env, callback_ids, call_ids=()):
    """Ask why these callbacks, and misses without one, need no call."""
    return {
        "type": "ir.actions.act_window",
        "name": env._("Dismiss"),
        "res_model": "pbx.callback.dismiss",
        "view_mode": "form",
        # also called from the browser, where nobody fills this in
        "views": [(False, "form")],
        "target": "new",
        "context": {
            "default_callback_ids": list(callback_ids),
            "default_call_ids": list(call_ids),
        },
    }


def boolean_domain(values, domain):
    """``domain`` for a search on a boolean field with operator ``in``."""
    wanted = {bool(value) for value in values}
    if len(wanted) == 2:
        return Domain.TRUE
    return domain if True in wanted else ~domain


def minutes_left(deadline, moment):
    """Whole minutes from ``moment`` to ``deadline``, rounded down; False if unknown."""
    if not deadline or not moment:
        return False
    return int((deadline - moment).total_seconds() // 60)


def tel_action(number):
    """Let the device dial; only what belongs in a number goes into the address."""
    dialled = "".join(char for char in number if char.isdigit() or char in "+*#")
    return {"type": "ir.actions.act_url", "url": f"tel:{dialled}", "target": "self"}


def partner_action(record, name):
    """Open ``record``'s contact, or a new one with what is known of the client."""
    action = {
        "type": "ir.actions.act_window",
        "res_model": "res.partner",
        "view_mode": "form",
    }
    if record.partner_id:
        return dict(action, res_id=record.partner_id.id)
    return dict(
        action,
        context={
            "default_phone": record.client_number or False,
            "default_name": name or False,
            "default_is_company": False,
        },
    )


def lead_action(record):
    """Open ``record``'s lead, or a new one with what is known of the client."""
    action = {
        "type": "ir.actions.act_window",
        "res_model": "crm.lead",
        "view_mode": "form",
    }
    if record.lead_id:
        return dict(action, res_id=record.lead_id.id)
    return dict(
        action,
        context={
            "default_type": "opportunity",
            "default_partner_id": record.partner_id.id,
            "default_phone": record.client_number or False,
            "default_name": record.env._(
                "Call of %(client)s", client=record.client_display
            ),
        },
    )


def format_seconds(seconds):
    """Seconds inside a call as ``0:21`` or ``1:02:03``; ``–`` if not known."""
    if seconds is None or seconds is False:
        return "–"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def check_limits(records, limits):
    """Refuse values above a sane bound.

    :param limits: ``{field name: greatest value}``
    :raise ValidationError: names the field and the bound
    """
    env = records.env
    for name, limit in limits.items():
        if any(record[name] > limit for record in records):
            raise ValidationError(
                env._(
                    "%(label)s: %(limit)s at the most.",
                    label=records._fields[name]._description_string(env),
                    limit=limit,
                )
            )
