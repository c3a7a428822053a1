# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from markupsafe import Markup

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.fields import Domain

from ..telephony.resolution import DISMISSED, OWED
from .expiring_selection import ExpiringSelection
from .helpers import (
    DISMISS_REASONS,
    boolean_domain,
    check_dismissal,
    dismiss_action,
    lead_action,
    minutes_left,
    partner_action,
    tel_action,
)
from .optional_integer import OptionalInteger

OPEN = ("todo", "overdue")
# What people may change by themselves; the rest is proved by records or goes through
# a method.
EDITABLE = {"user_id", "partner_id", "lead_id"}


class PbxCallback(models.Model):
    """The company's debt to one client after one or more misses.

    There is at most one open callback per client and company. Only a record (or a
    dismissal with a reason) closes it, never a click on "done".
    """

    _name = "pbx.callback"
    _description = "Callback"
    _inherit = ["mail.thread", "mail.activity.mixin"]
    _order = "deadline_at, id"
    _mail_post_access = "read"
    _rec_names_search = ["client_number", "client_name", "partner_id.name"]
    _check_company_auto = True

    company_id = fields.Many2one("res.company", required=True, readonly=True)
    client_number = fields.Char(
        required=True, readonly=True, help="E.164 where possible, else the digits."
    )
    client_name = fields.Char(
        readonly=True, help="As the caller's line announced it: a claim, not a fact."
    )
    partner_id = fields.Many2one(
        "res.partner",
        string="Contact",
        ondelete="set null",
        index="btree_not_null",
        check_company=True,
    )
    lead_id = fields.Many2one(
        "crm.lead",
        string="Lead",
        ondelete="set null",
        index="btree_not_null",
        check_company=True,
    )
    queue_id = fields.Many2one(
        "pbx.queue", string="Queue Group", ondelete="set null", readonly=True
    )
    user_id = fields.Many2one(
        "res.users",
        string="Responsible",
        ondelete="set null",
        index=True,
        tracking=True,
        domain=[("share", "=", False)],
    )
    state = ExpiringSelection(
        selection=[
            ("todo", "To Do"),
            ("overdue", "Overdue"),
            ("done", "Reached in Time"),
            ("late", "Reached Late"),
            ("dismissed", "Dismissed"),
            ("cancelled", "Cancelled"),
        ],
        expires=OPEN,
        deadline="deadline_at",
        required=True,
        readonly=True,
        default="todo",
        group_expand="_group_expand_state",
    )
    deadline_at = fields.Datetime(
        string="Deadline", readonly=True, help="The earliest of its open misses."
    )
    missed_call_ids = fields.One2many(
        "pbx.call", "callback_id", string="Misses", readonly=True
    )
    attempt_call_ids = fields.One2many(
        "pbx.call", "attempt_callback_id", string="Attempts", readonly=True
    )
    not_reached_call_ids = fields.One2many(
        "pbx.call",
        "attempt_callback_id",
        string="Not Reached",
        domain=[("not_reached", "=", True)],
        readonly=True,
        help="Answered calls a person said did not reach the client.",
    )
    missed_count = fields.Integer(string="Missed", readonly=True)
    attempt_count = fields.Integer(string="Tried", readonly=True)
    first_missed_at = fields.Datetime(string="First Miss", readonly=True)
    last_missed_at = fields.Datetime(string="Last Miss", readonly=True)
    last_attempt_at = fields.Datetime(string="Last Attempt", readonly=True)
    done_at = fields.Datetime(string="Reached", readonly=True)
    done_call_id = fields.Many2one(
        "pbx.call",
        string="Proved by",
        ondelete="set null",
        index="btree_not_null",
        readonly=True,
    )
    said_done_at = fields.Datetime(
        string="Said to Be Done",
        readonly=True,
        help="Somebody marked the activity done; no call was found yet.",
    )
    said_done_by = fields.Many2one(
        "res.users", string="Said by", ondelete="set null", readonly=True
    )
    dismiss_reason = fields.Selection(
        selection=DISMISS_REASONS, readonly=True, tracking=True
    )
    dismiss_note = fields.Char(readonly=True)
    dismissed_by = fields.Many2one("res.users", ondelete="set null", readonly=True)
    dismissed_at = fields.Datetime(readonly=True)

    # For the screens
    is_open = fields.Boolean(compute="_compute_is_open", search="_search_is_open")
    time_left = OptionalInteger(
        compute="_compute_time_left",
        help="Minutes to the deadline; negative once it is over. If the client was "
        "reached: at that moment.",
    )
    reached_after = OptionalInteger(
        compute="_compute_reached_after",
        help="Minutes from the last miss before the contact to the contact.",
    )
    client_display = fields.Char(string="Client", compute="_compute_client_display")
    organisation = fields.Char(compute="_compute_client_display")
    number_type = fields.Selection(
        selection=[
            ("mobile", "Mobile"),
            ("fixed", "Landline"),
            ("other", "Other"),
            ("unknown", "Unknown"),
        ],
        compute="_compute_last_miss",
    )
    last_reason = fields.Selection(
        selection="_selection_reason", compute="_compute_last_miss"
    )
    proof = fields.Char(
        compute="_compute_proof", help="Who reached the client, and how."
    )
    comes_back_at = fields.Datetime(
        compute="_compute_comes_back_at",
        help="When a callback said to be done comes back without proof.",
    )

    # Never on the contact: merging contacts deletes rows that break a constraint.
    _open_client_uniq = models.UniqueIndex(
        "(company_id, client_number) WHERE state IN ('todo', 'overdue')",
        "This client already has an open callback.",
    )
    _open_deadline_idx = models.Index(
        "(company_id, deadline_at) WHERE state IN ('todo', 'overdue')"
    )
    _company_client_idx = models.Index("(company_id, client_number)")

    # ------------------------------------------------------------------
    # Time-aware state
    # ------------------------------------------------------------------

    def _field_to_sql(self, alias, field_expr, query=None):
        field = self._fields.get(field_expr)
        if isinstance(field, ExpiringSelection):
            self._check_field_access(field, "read")
            return field.to_sql_at(self, alias, query)
        return super()._field_to_sql(alias, field_expr, query)

    @api.model
    def _group_expand_state(self, states, domain):
        """The four columns people work with are always there, in this order."""
        shown = ["overdue", "todo", "done", "late"]
        return shown + [
            state for state in ("dismissed", "cancelled") if state in states
        ]

    @api.depends("state", "deadline_at")
    def _compute_is_open(self):
        for callback in self:
            callback.is_open = callback.state in OPEN

    def _search_is_open(self, operator, value):
        if operator != "in":
            return NotImplemented
        return boolean_domain(value, Domain("state", "in", OPEN))

    # ------------------------------------------------------------------
    # Computes
    # ------------------------------------------------------------------

    @api.model
    def _selection_reason(self):
        return self.env["pbx.call"]._fields["reason"].selection

    @api.depends("client_number", "partner_id", "client_name")
    def _compute_display_name(self):
        for callback in self:
            name = callback.partner_id.sudo().name
            callback.display_name = " · ".join(
                filter(None, [name, callback.client_number])
            )

    @api.depends("partner_id", "client_number")
    def _compute_client_display(self):
        for callback in self:
            partner = callback.partner_id.sudo()
            company = partner.commercial_partner_id
            callback.organisation = (
                company.name or partner.company_name if company != partner else False
            )
            callback.client_display = partner.name or callback.client_number

    @api.depends("state", "deadline_at", "done_at")
    def _compute_time_left(self):
        now = fields.Datetime.now()
        for callback in self:
            callback.time_left = minutes_left(
                callback.deadline_at,
                now if callback.state in OPEN else callback.done_at,
            )

    @api.depends("done_at", "missed_call_ids.ended_at", "last_missed_at")
    def _compute_reached_after(self):
        for callback in self:
            minutes = minutes_left(callback.done_at, callback.last_missed_at)
            callback.reached_after = minutes if minutes is False else max(minutes, 0)

    @api.depends("missed_call_ids.reason", "missed_call_ids.number_type")
    def _compute_last_miss(self):
        for callback in self:
            # a callback one may see may tell why it exists
            last = callback.sudo().missed_call_ids[:1]
            callback.last_reason = last.reason
            callback.number_type = last.number_type

    @api.depends("done_call_id", "state")
    def _compute_proof(self):
        for callback in self:
            call = callback.sudo().done_call_id
            who = call.user_id.name or call.agent or call.extension_id.number
            if not call:
                callback.proof = False
            elif call.direction == "outbound":
                callback.proof = (
                    self.env._("%(operator)s called back", operator=who)
                    if who
                    else self.env._("called back")
                )
            else:
                callback.proof = (
                    self.env._("rang again, %(operator)s answered", operator=who)
                    if who
                    else self.env._("rang again and was answered")
                )

    @api.depends("said_done_at", "company_id.pbx_proof_hours", "state")
    def _compute_comes_back_at(self):
        for callback in self:
            said = callback.said_done_at
            if not said or callback.state not in OPEN:
                callback.comes_back_at = False
                continue
            hours = callback.company_id.sudo().pbx_proof_hours
            callback.comes_back_at = fields.Datetime.add(said, hours=hours)

    # ------------------------------------------------------------------
    # Writing
    # ------------------------------------------------------------------

    def write(self, vals):
        # Supervisors have write access to reassign and link; they could not be
        # trusted with a "done" either.
        if not self.env.su and (
            forbidden := {
                name
                for name in vals
                if name not in EDITABLE
                and not name.startswith(("activity_", "message_"))
            }
        ):
            raise AccessError(
                self.env._(
                    "Callbacks are closed by calls, not by hand (%(fields)s).",
                    fields=", ".join(sorted(forbidden)),
                )
            )
        result = super().write(vals)
        if "user_id" in vals and not self.env.context.get("pbx_engine"):
            self._reassign_activities()
        return result

    def _reassign_activities(self):
        """The activity goes with the responsible."""
        for callback in self.filtered("user_id"):
            # the previous responsible's activity is not the supervisor's to write
            activities = callback.sudo()._callback_activities()
            to_move = activities.filtered(
                lambda activity, user=callback.user_id: activity.user_id != user
            )
            if to_move:
                to_move.write({"user_id": callback.user_id.id})
                callback._renew_activities()

    def _renew_activities(self):
        """Day, hour and words of the activities for who is responsible now."""
        from ..intake import callback_activities
        from ..intake.callback_run import Run

        for company, callbacks in self.grouped("company_id").items():
            run = Run(self.env, company.id, fields.Datetime.now())
            callback_activities.renew(run, callbacks.with_env(run.env), is_moved=True)

    def _callback_activities(self):
        """Open activities of the type "Call back"."""
        # the id alone: looking for the record costs a query each time
        type_id = self.env["ir.model.data"]._xmlid_to_res_id(
            "missed_call_crm.mail_activity_type_callback", raise_if_not_found=False
        )
        return self.activity_ids.filtered(
            lambda activity: activity.activity_type_id.id == type_id
        )

    # ------------------------------------------------------------------
    # Actions
    # ------------------------------------------------------------------

    def _check_may_decide(self):
        """Whoever may see a callback as an operator may decide about it."""
        self.check_access("read")
        if not (
            self.env.su or self.env.user.has_group("missed_call_crm.group_operator")
        ):
            raise AccessError(self.env._("Only operators may close callbacks."))

    def action_open_dismiss(self):
        """Ask for the reason of a dismissal."""
        open_callbacks = self.filtered("is_open")
        if not open_callbacks:
            raise UserError(self.env._("There is no open callback to dismiss."))
        return dismiss_action(self.env, open_callbacks.ids)

    def action_dismiss(self, reason=None, note=None):
        """Close callbacks without a call; all the client's misses count as dismissed.

        :param str reason: ``spam``, ``wrong_number``, ``handled_otherwise``,
            ``duplicate`` or ``other``
        :param str note: free text, needed for ``other``
        :raise UserError: unknown reason, ``other`` without note, not open
        """
        self._check_may_decide()
        note = check_dismissal(self.env, reason, note)
        if self.filtered(lambda callback: not callback.is_open):
            raise UserError(self.env._("Only open callbacks can be dismissed."))
        # Operators write neither calls nor callbacks; dismissing is a decision they
        # may make, logged with their name.
        self.sudo()._dismiss(reason, note)
        return True

    def _dismiss(self, reason, note):
        """Store the decision of the present user, on the misses as well."""
        labels = dict(self._fields["dismiss_reason"]._description_selection(self.env))
        callbacks_sudo = self.with_context(pbx_engine=True)
        callbacks_sudo.write(
            {
                "state": "dismissed",
                "dismiss_reason": reason,
                "dismiss_note": note,
                "dismissed_by": self.env.uid,
                "dismissed_at": fields.Datetime.now(),
                "said_done_at": False,
                "said_done_by": False,
            }
        )
        # the client may have a new open callback from here on
        callbacks_sudo.flush_recordset(["state"])
        misses = callbacks_sudo.missed_call_ids.filtered("is_not_fixed")
        for callback in callbacks_sudo:
            misses |= misses.search(
                callback._client_calls() & Domain("resolution", "in", sorted(OWED))
            ).filtered(lambda call: not call.callback_id.is_open)
        misses._dismiss(reason, note)
        callbacks_sudo._callback_activities().unlink()
        for callback in callbacks_sudo:
            callback._log_line(
                self.env._("Dismissed: %(reason)s", reason=labels[reason]), note
            )

    def _client_calls(self):
        """Calls with the client's numbers, in the callback's company."""
        self.ensure_one()
        keys = {self.client_number, *self.missed_call_ids.mapped("client_key")}
        return Domain("company_id", "=", self.company_id.id) & Domain(
            "client_key", "in", sorted(key for key in keys if key)
        )

    def _dismissed_calls(self):
        """What these callbacks' dismissals dismissed: theirs, and those beside them."""
        calls = self.missed_call_ids.filtered(lambda c: c.resolution == DISMISSED)
        for callback in self.filtered("dismissed_at"):
            calls |= calls.search(
                callback._client_calls()
                & Domain("resolution", "=", DISMISSED)
                & Domain("dismissed_at", "=", callback.dismissed_at)
                & Domain("dismissed_by_id", "=", callback.dismissed_by.id)
            )
        return calls

    def action_reopen(self):
        """Open dismissed callbacks again, or those whose contact was "not reached".

        What the calls say stands: if another one reached the client meanwhile, the
        callback is closed by it at once.

        :raise UserError: the callback is of another kind, or the client has another
            open callback already
        """
        self._check_may_decide()
        # the follow-up opens it by itself after "not reached", and may have been faster
        done_already = self.sudo().filtered(
            lambda callback: callback.is_open and callback.not_reached_call_ids
        )
        self = self.browse(set(self.ids) - set(done_already.ids))
        for callback in self:
            if callback.is_open or not callback._may_reopen():
                raise UserError(
                    self.env._(
                        "Only a dismissed callback, or one whose call is marked “not "
                        "reached”, can be opened again."
                    )
                )
        clients = [(callback.company_id, callback.client_number) for callback in self]
        for callback in self.sudo():
            others = self.sudo().search_count(
                [
                    ("company_id", "=", callback.company_id.id),
                    ("client_number", "=", callback.client_number),
                    ("state", "in", OPEN),
                ]
            )
            if (
                others
                or clients.count((callback.company_id, callback.client_number)) > 1
            ):
                raise UserError(
                    self.env._(
                        "%(client)s has an open callback already.",
                        client=callback.client_number,
                    )
                )
        callbacks_sudo = self.sudo().with_context(pbx_engine=True)
        callbacks_sudo._dismissed_calls()._undismiss()
        callbacks_sudo.write(
            {
                "state": "todo",
                "dismiss_reason": False,
                "dismiss_note": False,
                "dismissed_by": False,
                "dismissed_at": False,
                "done_at": False,
                "done_call_id": False,
                "said_done_at": False,
                "said_done_by": False,
            }
        )
        for callback in callbacks_sudo:
            callback._log_line(self.env._("Opened again"))
        callbacks_sudo._resolve_clients()
        callbacks_sudo._follow_up()
        return True

    def _may_reopen(self):
        """Whether :meth:`action_reopen` makes sense for this callback."""
        self.ensure_one()
        return self.state == "dismissed" or (
            self.state in ("done", "late") and self.sudo().done_call_id.not_reached
        )

    def _resolve_clients(self):
        """Resolve again all misses of the clients of these callbacks."""
        from ..intake import resolve

        self.env.flush_all()
        for company, callbacks in self.grouped("company_id").items():
            keys = set(callbacks.mapped("client_number"))
            keys |= {
                key for key in callbacks.missed_call_ids.mapped("client_key") if key
            }
            resolve.recompute(self.env, company, sorted(keys))
        self.env.invalidate_all()

    def _follow_up(self):
        """Bring activities and states in line with the calls, without waiting."""
        from ..intake import callbacks

        callbacks.sync(self.env, self.company_id.ids)

    def action_call_contact(self):
        """Dial the client with the phone of the device."""
        self.ensure_one()
        return tel_action(self.client_number)

    def action_open_partner(self):
        """The contact of the client, or a new one with his number."""
        self.ensure_one()
        return partner_action(self, self.client_name)

    def action_create_lead(self):
        """The lead of the client, or a new one with his number."""
        self.ensure_one()
        return lead_action(self)

    def action_view_misses(self):
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "missed_call_crm.pbx_call_action"
        )
        return dict(action, domain=[("callback_id", "=", self.id)], context={})

    # ------------------------------------------------------------------
    # Chatter and activities
    # ------------------------------------------------------------------

    def _said_done(self, user):
        """Somebody marked the activity done; a record has still to prove it."""
        for callback in self.sudo().filtered("is_open"):
            callback.write(
                {"said_done_at": fields.Datetime.now(), "said_done_by": user.id}
            )

    def _log_not_reached(self, value, user):
        """Leave a line about a person's "not reached" or its withdrawal."""
        self.ensure_one()
        if value:
            text = self.env._("%(user)s: the client was not reached.", user=user.name)
        else:
            text = self.env._(
                "%(user)s: the client was reached after all.", user=user.name
            )
        self._log_line(text)

    def _log_line(self, text, note=None):
        """A chatter line by the present user; ``note`` is escaped."""
        self.ensure_one()
        body = Markup("%s") % text
        if note:
            body += Markup("<br/>%s") % note
        self.message_post(
            body=body,
            author_id=self.env.user.partner_id.id,
            subtype_xmlid="mail.mt_note",
        )

    @api.model
    def _cron_follow_up(self):
        from ..intake import follow_up

        follow_up.cron(self.env)
