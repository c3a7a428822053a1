# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.fields import Domain
from odoo.tools import SQL, format_datetime

from ..telephony.outcome import ABANDONED, MISSED
from ..telephony.resolution import DISMISSED, NOT_FIXED, OWED, PENDING, UNFIXED
from .call_story import CallStory
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

REASONS = [
    ("out_of_hours", "Out of hours"),
    ("disconnected", "Cut by a fault"),
    ("lost_in_transfer", "Lost in transfer"),
    ("no_answer", "No answer"),
    ("busy", "Busy"),
    ("unreachable", "Unreachable"),
    ("no_operators", "No operators"),
    ("queue_timeout", "Queue time limit"),
    ("queue_hangup", "Gave up in the queue"),
    ("menu_hangup", "Hung up in the menu"),
    ("unknown", "Unknown"),
]

# Up to so many calls a user's own are looked up one by one.
FEW_CALLS = 2000


class PbxCall(models.Model):
    """One attempt of a client and the company to talk, with all its transfers.

    Calls are built from the records of the phone system by the intake, in bulk and
    again whenever a record arrives. Nobody writes them over the API; people's
    decisions (not reached, dismissed) go through methods.
    """

    _name = "pbx.call"
    _description = "Call"
    _order = "started_at desc, id desc"
    _rec_names_search = ["client_number", "client_name", "call_key"]

    company_id = fields.Many2one("res.company", required=True)
    backend_id = fields.Many2one(
        "pbx.backend", string="Phone System", required=True, ondelete="restrict"
    )
    call_key = fields.Char(required=True, help="Id of the call in its phone system.")

    # What happened
    direction = fields.Selection(
        selection=[
            ("inbound", "Inbound"),
            ("outbound", "Outbound"),
            ("internal", "Internal"),
        ],
        required=True,
    )
    outcome = fields.Selection(
        selection=[
            ("answered", "Answered"),
            ("missed", "Missed"),
            ("abandoned", "Abandoned"),
            ("unanswered", "Unanswered"),
        ],
        help="Missed: at least one operator was offered the call and nobody kept the "
        "client. Abandoned: the call ended before any operator was offered it. "
        "Unanswered: an outbound or internal call nobody took.",
    )
    reason = fields.Selection(
        selection=REASONS, help="Why an inbound call was not answered."
    )
    started_at = fields.Datetime(string="Start", required=True)
    answered_at = fields.Datetime(
        string="Answer", help="When an operator answered for the first time."
    )
    ended_at = fields.Datetime(string="End")
    wait_seconds = OptionalInteger(
        string="Wait",
        aggregator="avg",
        help="Seconds from the client's arrival to the first operator's answer, else "
        "to the end.",
    )
    queue_wait_seconds = OptionalInteger(
        string="Queue Wait", aggregator="avg", help="Seconds in queues only."
    )
    talk_seconds = OptionalInteger(
        string="Talk", aggregator="sum", help="Seconds operators and client talked."
    )
    is_open = fields.Boolean(
        string="In Progress",
        help="Not ended, or not settled yet: not judged, hence in no figure.",
    )
    end_seen_at = fields.Datetime(help="When the end of the call was first seen.")
    judge_at = fields.Datetime(help="When to look at the open call again.")
    hangup_by = fields.Selection(
        selection=[
            ("client", "Client"),
            ("operator", "Operator"),
            ("system", "Phone system"),
        ],
        string="Hung Up by",
    )
    hangup_cause = fields.Char(string="Hang-up Cause")
    is_short = fields.Boolean(
        string="Short",
        help="The client himself hung up below the threshold: counted apart.",
    )
    is_anonymous = fields.Boolean(
        string="Anonymous", help="No usable number: cannot be called back."
    )
    is_out_of_hours = fields.Boolean(string="Out of Hours")
    has_voicemail = fields.Boolean(string="Voicemail", help="A message was left.")
    is_disconnected = fields.Boolean(
        string="Disconnected", help="A talk that was cut by a fault."
    )
    not_reached = fields.Boolean(
        help="A person said that the answered callback did not reach the client, for "
        "example because his voicemail took it. Then it is no contact.",
    )
    not_reached_by_id = fields.Many2one(
        "res.users", string="Said by", ondelete="set null"
    )
    from_history = fields.Boolean(
        help="Came with a first pull or a back-fill: figures, no mails."
    )

    # Who
    client_number = fields.Char(help="E.164 where possible.")
    client_number_raw = fields.Char(
        string="Number as Received", help="As the phone system gave it."
    )
    client_key = fields.Char(
        help="What misses and contacts are matched by: E.164, else the digits; empty "
        "for anonymous clients.",
    )
    client_name = fields.Char(
        help="As the caller's line announced it: a claim, not a fact."
    )
    number_type = fields.Selection(
        selection=[
            ("mobile", "Mobile"),
            ("fixed", "Landline"),
            ("other", "Other"),
            ("unknown", "Unknown"),
        ],
    )
    our_number = fields.Char(help="The number that was dialled.")
    partner_id = fields.Many2one(
        "res.partner", string="Contact", ondelete="set null", index="btree_not_null"
    )
    partner_is_ambiguous = fields.Boolean(
        string="Several Contacts", help="Several contacts have this number: none taken."
    )
    lead_id = fields.Many2one(
        "crm.lead", string="Lead", ondelete="set null", index="btree_not_null"
    )
    queue_id = fields.Many2one(
        "pbx.queue",
        string="Queue Group",
        ondelete="set null",
        help="Where the call was answered or lost.",
    )
    user_id = fields.Many2one(
        "res.users",
        string="Operator",
        ondelete="set null",
        help="Who answered, or was rung last; for outbound calls who called.",
    )
    extension_id = fields.Many2one("pbx.extension", ondelete="set null")
    agent = fields.Char(
        string="Operator Name", help="As the phone system wrote it, if not known here."
    )
    position_entry = OptionalInteger(
        string="Position at Entry", aggregator="avg", help="Place in the first queue."
    )
    position_exit = OptionalInteger(
        string="Position at Hang-up", aggregator="avg", help="Place when it was left."
    )
    recording_url = fields.Char(string="Recording")
    voicemail_url = fields.Char(string="Voicemail Link")

    # What became of a miss. The rule is stored here: settings changed later do not
    # move deadlines.
    fix_window_hours = fields.Float(string="Call Back Within", aggregator=None)
    window_start = fields.Selection(
        selection=[
            ("miss", "The end of the missed call"),
            ("opening", "The next opening"),
            ("working", "Working hours only"),
        ],
        string="Counted From",
    )
    short_seconds = fields.Integer(string="Short Call Threshold", aggregator=None)
    min_talk_seconds = fields.Integer(string="Shortest Talk", aggregator=None)
    deadline_at = fields.Datetime(string="Deadline")
    resolution = ExpiringSelection(
        selection=[
            ("pending", "Pending"),
            ("unfixed", "Unfixed"),
            ("late", "Late"),
            ("fixed", "Fixed"),
            ("dismissed", "Dismissed"),
            ("ignored", "Ignored"),
        ],
        expires=(PENDING, UNFIXED),
        deadline="deadline_at",
        group_expand="_group_expand_resolution",
        help="Pending: in the window, not reached yet. Unfixed: window over, not "
        "reached. Late: reached after the deadline, still counts as not fixed.",
    )
    is_not_fixed = fields.Boolean(
        string="Not Fixed",
        compute="_compute_is_not_fixed",
        search="_search_is_not_fixed",
        help="Pending, unfixed or late: the client did not get through in time.",
    )
    is_mine = fields.Boolean(
        string="Mine or of My Groups",
        compute="_compute_is_mine",
        search="_search_is_mine",
        help="The user took, made or was rung by the call, is a member or supervisor "
        "of its queue group, or responsible for its callback.",
    )
    is_external = fields.Boolean(
        string="Call with a Client",
        compute="_compute_is_external",
        search="_search_is_external",
    )
    is_miss = fields.Boolean(
        string="Miss", compute="_compute_is_miss", search="_search_is_miss"
    )
    contact_at = fields.Datetime(
        string="First Contact",
        help="Start of the first talk of this call that counts as a contact with the "
        "client; empty if there was none.",
    )
    fixed_by = fields.Selection(
        selection=[("callback", "Called back"), ("client", "Rang again")],
    )
    fix_call_id = fields.Many2one(
        "pbx.call", string="Fixing Call", ondelete="set null", index="btree_not_null"
    )
    fix_is_shared = fields.Boolean(
        string="Through a Shared Number",
        help="The contact was through a number several contacts share.",
    )
    fixed_at = fields.Datetime(string="Reached")
    dismiss_reason = fields.Selection(selection=DISMISS_REASONS)
    dismiss_note = fields.Char()
    dismissed_by_id = fields.Many2one(
        "res.users", string="Dismissed by", ondelete="set null"
    )
    dismissed_at = fields.Datetime(string="Dismissed")
    callback_id = fields.Many2one(
        "pbx.callback", string="Callback", ondelete="set null", index="btree_not_null"
    )
    attempt_callback_id = fields.Many2one(
        "pbx.callback",
        string="Attempt for",
        ondelete="set null",
        index="btree_not_null",
        help="The callback this outbound call was made for.",
    )
    leg_ids = fields.One2many("pbx.call.leg", "call_id", string="Steps")
    record_ids = fields.One2many(
        "pbx.record",
        "call_id",
        string="Records",
        # those who may read records: else nobody below them could read() a call
        groups="missed_call_crm.group_manager,base.group_system",
    )
    fixed_call_ids = fields.One2many(
        "pbx.call", "fix_call_id", string="Misses It Fixed"
    )

    # For the screens
    attempt = fields.Boolean(
        compute="_compute_attempt", help="An outbound call that reached nobody."
    )
    time_left = OptionalInteger(
        compute="_compute_time_left",
        help="Minutes to the deadline; negative once it is over. For late and fixed "
        "misses: at the moment the client was reached. Empty if nothing was owed.",
    )
    client_display = fields.Char(string="Client", compute="_compute_client_display")
    organisation = fields.Char(compute="_compute_client_display")
    client_full = fields.Char(
        string="Client and Organisation", compute="_compute_client_display"
    )
    rung = fields.Char(compute="_compute_rung", help="Whose phones rang.")
    positions = fields.Char(
        string="Position",
        compute="_compute_positions",
        help="Place in the queue at entry and at hang-up.",
    )
    reached_after = OptionalInteger(
        compute="_compute_reached_after",
        help="Minutes from the end of the miss to the contact.",
    )
    responsible_id = fields.Many2one(
        related="callback_id.user_id", string="Responsible"
    )
    attempt_count = fields.Integer(related="callback_id.attempt_count", aggregator=None)
    attempts = fields.Char(
        compute="_compute_attempts", help="How often and when last we tried."
    )
    client_miss_count = fields.Integer(
        related="callback_id.missed_count",
        string="Misses of the Client",
        aggregator=None,
    )
    client_call_ids = fields.Many2many(
        "pbx.call", compute="_compute_client_calls", string="Calls of This Client"
    )
    client_call_count = fields.Integer(compute="_compute_client_calls")
    record_count = fields.Integer(compute="_compute_record_count")
    story_html = fields.Html(
        string="Story", compute="_compute_story_html", sanitize=False
    )

    _backend_call_key_uniq = models.UniqueIndex("(backend_id, call_key)")
    _company_started_idx = models.Index("(company_id, started_at)")
    _company_client_idx = models.Index(
        "(company_id, client_key, started_at) WHERE client_key IS NOT NULL"
    )
    _judge_idx = models.Index("(judge_at) WHERE is_open")
    _deadline_idx = models.Index(
        "(company_id, deadline_at) WHERE resolution IN ('pending', 'unfixed')"
    )
    _not_fixed_idx = models.Index(
        "(company_id, started_at) WHERE resolution IN ('pending', 'unfixed', 'late')"
    )
    _debt_idx = models.Index(
        "(company_id, client_key) WHERE resolution IN ('pending', 'unfixed')"
        " AND callback_id IS NULL AND client_key IS NOT NULL"
        " AND from_history IS NOT TRUE"
    )
    _queue_started_idx = models.Index("(queue_id, started_at)")
    _user_started_idx = models.Index("(user_id, started_at)")
    _backend_started_idx = models.Index("(backend_id, started_at)")
    _company_ended_idx = models.Index("(company_id, ended_at)")

    # ------------------------------------------------------------------
    # Time-aware resolution
    # ------------------------------------------------------------------

    def _field_to_sql(self, alias, field_expr, query=None):
        field = self._fields.get(field_expr)
        if isinstance(field, ExpiringSelection):
            self._check_field_access(field, "read")
            return field.to_sql_at(self, alias, query)
        return super()._field_to_sql(alias, field_expr, query)

    @api.model
    def _group_expand_resolution(self, resolutions, domain):
        """No empty groups, but the most urgent first."""
        order = ("unfixed", "pending", "late", "fixed", "dismissed", "ignored")
        return [value for value in order if value in resolutions]

    @api.depends("resolution", "deadline_at")
    def _compute_is_not_fixed(self):
        for call in self:
            call.is_not_fixed = call.resolution in NOT_FIXED

    def _search_is_not_fixed(self, operator, value):
        if operator != "in":
            return NotImplemented
        return boolean_domain(value, Domain("resolution", "in", sorted(NOT_FIXED)))

    @api.depends(
        "user_id",
        "queue_id.member_ids",
        "queue_id.supervisor_ids",
        "leg_ids.user_id",
        "callback_id.user_id",
        "attempt_callback_id.user_id",
    )
    @api.depends_context("uid")
    def _compute_is_mine(self):
        domain = Domain("id", "in", self.ids) & Domain("is_mine", "=", True)
        # asked by the very rule that says what may be seen
        mine = self.browse(self.sudo().search(domain).ids)
        for call in self:
            call.is_mine = call._origin in mine

    def _search_is_mine(self, operator, value):
        if operator != "in":
            return NotImplemented
        # Who has few calls has them looked up by the indexes: the OR below is asked
        # of each call of the company in turn, which is quick only if many match.
        found = self.env.execute_query(
            SQL("%s LIMIT %s", SQL(" UNION ALL ").join(self._mine_sql()), FEW_CALLS + 1)
        )
        if len(found) <= FEW_CALLS:
            domain = Domain("id", "in", list({call_id for (call_id,) in found}))
        else:
            uid = self.env.uid
            domain = (
                Domain("user_id", "=", uid)
                | Domain("queue_id.member_ids", "in", [uid])
                | Domain("queue_id.supervisor_ids", "in", [uid])
                | Domain("leg_ids.user_id", "=", uid)
                | Domain("callback_id.user_id", "=", uid)
                | Domain("attempt_callback_id.user_id", "=", uid)
            )
        return boolean_domain(value, domain)

    def _mine_sql(self):
        """Queries for the ids of the user's calls, one for each reason."""
        uid = self.env.uid
        calls = self.sudo().with_context(active_test=False)
        groups = Domain("member_ids", "in", [uid]) | Domain(
            "supervisor_ids", "in", [uid]
        )
        # few, and as values they can be looked up in the index
        queues = calls.env["pbx.queue"].search(groups).ids
        callbacks = calls.env["pbx.callback"]._search([("user_id", "=", uid)])
        for name, owners in (
            ("user_id", [uid]),
            ("queue_id", queues),
            ("callback_id", callbacks),
            ("attempt_callback_id", callbacks),
        ):
            yield calls._search(Domain(name, "in", owners)).select()
        steps = calls.env["pbx.call.leg"]
        rung = steps._search([("user_id", "=", uid)])
        yield rung.select(steps._field_to_sql(rung.table, "call_id", rung))

    @api.depends("direction")
    def _compute_is_external(self):
        for call in self:
            call.is_external = call.direction in ("inbound", "outbound")

    def _search_is_external(self, operator, value):
        if operator != "in":
            return NotImplemented
        return boolean_domain(value, Domain("direction", "in", ("inbound", "outbound")))

    @api.depends("outcome", "direction", "is_open", "is_short")
    def _compute_is_miss(self):
        for call in self:
            call.is_miss = bool(call.filtered_domain(self._miss_domain()))

    def _search_is_miss(self, operator, value):
        if operator != "in":
            return NotImplemented
        return boolean_domain(value, self._miss_domain())

    @api.model
    def _miss_domain(self):
        """Inbound calls of clients who did not get to talk, short ones left out."""
        return (
            Domain("direction", "=", "inbound")
            & Domain("outcome", "in", (MISSED, ABANDONED))
            & Domain("is_open", "=", False)
            & Domain("is_short", "=", False)
        )

    # ------------------------------------------------------------------
    # Computes
    # ------------------------------------------------------------------

    @api.depends("client_number", "client_number_raw", "outcome", "started_at")
    @api.depends_context("tz", "lang")
    def _compute_display_name(self):
        words = dict(self._fields["outcome"]._description_selection(self.env))
        for call in self:
            call.display_name = " · ".join(
                filter(
                    None,
                    [
                        call.client_number
                        or call.client_number_raw
                        or self.env._("Anonymous"),
                        words.get(call.outcome),
                        call.started_at
                        and format_datetime(
                            self.env, call.started_at, dt_format="short"
                        ),
                    ],
                )
            )

    @api.depends("direction", "outcome", "not_reached", "contact_at", "is_open")
    def _compute_attempt(self):
        # stands in SQL, too: intake.callback_facts (a test compares the two)
        for call in self:
            call.attempt = (
                call.direction == "outbound"
                and not call.is_open
                and (not call.contact_at or call.not_reached)
            )

    @api.depends("resolution", "deadline_at", "fixed_at")
    def _compute_time_left(self):
        now = fields.Datetime.now()
        for call in self:
            call.time_left = minutes_left(
                call.deadline_at,
                now if call.resolution in OWED else call.fixed_at,
            )

    @api.depends(
        "callback_id.attempt_count",
        "callback_id.last_attempt_at",
        "callback_id.said_done_at",
    )
    @api.depends_context("tz", "lang")
    def _compute_attempts(self):
        def when(moment):
            return format_datetime(self.env, moment, dt_format="EEE HH:mm")

        for call in self:
            # the tries for a call one may see are part of its story
            callback = call.callback_id.sudo()
            if not callback:
                call.attempts = False
            elif callback.is_open and callback.said_done_at:
                call.attempts = self.env._(
                    "said done %(time)s", time=when(callback.said_done_at)
                )
            elif not callback.attempt_count:
                call.attempts = self.env._("none yet")
            elif callback.last_attempt_at:
                call.attempts = self.env._(
                    "%(count)s, %(time)s",
                    count=callback.attempt_count,
                    time=when(callback.last_attempt_at),
                )
            else:
                call.attempts = str(callback.attempt_count)

    @api.depends("ended_at", "fixed_at")
    def _compute_reached_after(self):
        for call in self:
            # fixed while still waiting on another line: reached at once
            minutes = minutes_left(call.fixed_at, call.ended_at)
            call.reached_after = minutes if minutes is False else max(minutes, 0)

    @api.depends(
        "partner_id",
        "lead_id",
        "client_number",
        "client_number_raw",
        "client_name",
        "is_anonymous",
    )
    def _compute_client_display(self):
        for call in self:
            # the name of the client of a call one may see is no secret
            partner = call.partner_id.sudo()
            company = partner.commercial_partner_id
            call.organisation = (
                company.name or partner.company_name if company != partner else False
            )
            call.client_display = (
                partner.name
                or call.lead_id.sudo().contact_name
                or call.lead_id.sudo().name
                or call.client_number
                or call.client_number_raw
                or (self.env._("Anonymous") if call.is_anonymous else "–")
            )
            call.client_full = " · ".join(
                filter(None, [call.client_display, call.organisation])
            )

    @api.depends("leg_ids.party", "leg_ids.kind", "leg_ids.result")
    def _compute_rung(self):
        for call in self:
            # the phones that rang are part of the call's story, whoever they are
            legs = call.sudo().leg_ids.filtered(lambda leg: leg.kind == "ring")
            names = dict.fromkeys(
                leg.extension_id.number or leg.agent or leg.user_id.name
                for leg in legs
                if leg.extension_id or leg.agent or leg.user_id
            )
            call.rung = ", ".join(names) or "–"

    @api.depends("position_entry", "position_exit")
    def _compute_positions(self):
        for call in self:
            entry, leave = call.position_entry, call.position_exit
            if entry is False and leave is False:
                call.positions = "–"
            else:
                call.positions = self.env._(
                    "%(entry)s, then %(leave)s",
                    entry="–" if entry is False else entry,
                    leave="–" if leave is False else leave,
                )

    @api.depends("client_key", "company_id")
    def _compute_client_calls(self):
        for call in self:
            if not call.client_key:
                call.client_call_ids = call if call.id else False
                call.client_call_count = len(call.client_call_ids)
                continue
            domain = call._client_domain()
            call.client_call_ids = self.search(domain, limit=20)
            call.client_call_count = self.search_count(domain)

    def _compute_record_count(self):
        if not self.env["pbx.record"].has_access("read"):
            self.record_count = 0
            return
        counts = dict(
            self.env["pbx.record"]._read_group(
                [("call_id", "in", self.ids)], ["call_id"], ["__count"]
            )
        )
        for call in self:
            call.record_count = counts.get(call, 0)

    @api.depends("leg_ids", "resolution", "fix_call_id")
    @api.depends_context("tz", "lang")
    def _compute_story_html(self):
        for call in self:
            # the template escapes all that callers and phone systems say
            call.story_html = self.env["ir.qweb"]._render(
                "missed_call_crm.call_story", CallStory(call.sudo()).values()
            )

    def _client_domain(self):
        """Calls with the same client, through all his numbers if he is known."""
        self.ensure_one()
        domain = Domain("client_key", "=", self.client_key)
        if self.partner_id:
            domain |= Domain("partner_id", "=", self.partner_id.id)
        return Domain("company_id", "=", self.company_id.id) & domain

    # ------------------------------------------------------------------
    # Actions
    # ------------------------------------------------------------------

    def action_not_reached(self):
        """Say that an answered outbound call did not reach the client.

        It is an attempt from then on: misses it fixed are owed again.
        """
        return self._set_not_reached(True)

    def action_reached(self):
        """Take back that an answered outbound call did not reach the client."""
        return self._set_not_reached(False)

    def _set_not_reached(self, value):
        self.check_access("read")
        for call in self:
            if call.direction != "outbound" or call.outcome != "answered":
                raise UserError(
                    self.env._("Only an answered outbound call can be “not reached”.")
                )
        changed = self.filtered(lambda call: call.not_reached != value)
        # Calls are written by nobody; this is one of the decisions a person may make.
        changed_sudo = changed.sudo()
        changed_sudo.write(
            {
                "not_reached": value,
                "not_reached_by_id": self.env.uid if value else False,
            }
        )
        for callback in changed_sudo.fixed_call_ids.callback_id:
            callback._log_not_reached(value, self.env.user)
        changed_sudo._resolve_clients()
        return True

    def _resolve_clients(self):
        """Resolve again all misses of the clients of these calls."""
        from ..intake import callbacks, resolve

        self.flush_model()
        for company, calls in self.grouped("company_id").items():
            keys = {call.client_key for call in calls if call.client_key}
            resolve.recompute(self.env, company, sorted(keys))
        self.env.invalidate_all()
        callbacks.sync(self.env, self.company_id.ids)

    def action_call_client(self):
        """Dial the client with the phone of the device."""
        self.ensure_one()
        number = self.client_number or self.client_number_raw
        if self.is_anonymous or not number:
            raise UserError(self.env._("This client has no number to call."))
        return tel_action(number)

    def action_open_partner(self):
        """The contact of the client, or a new one with his number."""
        self.ensure_one()
        return partner_action(self, self.client_name)

    def action_create_lead(self):
        """The lead of the client, or a new one with his number."""
        self.ensure_one()
        return lead_action(self)

    def _check_may_decide(self):
        """Whoever may see a call as an operator may decide about it."""
        self.check_access("read")
        if not (
            self.env.su or self.env.user.has_group("missed_call_crm.group_operator")
        ):
            raise AccessError(self.env._("Only operators may dismiss misses."))

    def action_open_dismiss(self):
        """Ask for the reason of a dismissal."""
        owed = self.filtered(lambda call: call.resolution in OWED)
        if not owed:
            raise UserError(self.env._("None of these calls is owed a callback."))
        # the debt is the client's: his callback stands for all of his misses
        callbacks_sudo = owed.sudo().callback_id.filtered("is_open")
        rest = owed.filtered(lambda call: call.sudo().callback_id not in callbacks_sudo)
        return dismiss_action(self.env, callbacks_sudo.ids, rest.ids)

    def action_dismiss(self, reason=None, note=None):
        """Dismiss misses: nobody needs to call back.

        With an open callback the whole callback is dismissed, with all misses of the
        client. Without a reason the reason is asked for.

        :param str reason: as of :meth:`pbx.callback.action_dismiss`
        :param str note: free text, needed for ``other``
        :raise UserError: unknown reason, ``other`` without note, nothing owed
        """
        if not reason:
            return self.action_open_dismiss()
        self._check_may_decide()
        note = check_dismissal(self.env, reason, note)
        if self.filtered(lambda call: call.resolution not in OWED):
            raise UserError(self.env._("Only misses that are owed can be dismissed."))
        # Operators write neither calls nor callbacks; dismissing is a decision they
        # may make, kept with their name.
        calls_sudo = self.sudo()
        callbacks_sudo = calls_sudo.callback_id.filtered("is_open")
        callbacks_sudo._dismiss(reason, note)
        rest = calls_sudo.filtered(lambda call: call.resolution in OWED)
        rest._dismiss(reason, note)
        return True

    def _dismiss(self, reason, note):
        """Store the decision of the present user."""
        self.write(
            {
                "resolution": DISMISSED,
                "dismiss_reason": reason,
                "dismiss_note": note,
                "dismissed_by_id": self.env.uid,
                "dismissed_at": fields.Datetime.now(),
            }
        )

    def action_reopen(self):
        """Owe dismissed misses again, with the callback they were dismissed with.

        :raise UserError: not dismissed
        """
        self._check_may_decide()
        if self.filtered(lambda call: call.resolution != DISMISSED):
            raise UserError(self.env._("Only dismissed misses can be opened again."))
        calls_sudo = self.sudo()
        callbacks = calls_sudo.callback_id.filtered(
            lambda callback: callback.state == DISMISSED
        )
        if callbacks:
            callbacks.action_reopen()
        rest = calls_sudo.filtered(lambda call: call.resolution == DISMISSED)
        if rest:
            rest._undismiss()
            rest._resolve_clients()
        return True

    def _undismiss(self):
        """Forget the dismissal; the caller resolves the clients again."""
        # stored as pending: time decides whether that reads as unfixed
        self.write(
            {
                "resolution": PENDING,
                "dismiss_reason": False,
                "dismiss_note": False,
                "dismissed_by_id": False,
                "dismissed_at": False,
            }
        )

    def action_view_client_calls(self):
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "missed_call_crm.pbx_call_action"
        )
        domain = (
            self._client_domain() if self.client_key else Domain("id", "=", self.id)
        )
        return dict(action, domain=list(domain), context={})

    def action_view_records(self):
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "missed_call_crm.pbx_record_action"
        )
        return dict(action, domain=[("call_id", "=", self.id)], context={})

    def action_view_callback(self):
        self.ensure_one()
        return {
            "type": "ir.actions.act_window",
            "res_model": "pbx.callback",
            "res_id": self.callback_id.id,
            "view_mode": "form",
        }
