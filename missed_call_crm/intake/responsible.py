# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Who has to call a client back.

The first who is available of: the contact's or open lead's salesperson, the operator
who last talked to the client, the operator who was rung, whom the queue group's policy
names, the group's supervisors, the company's person of last resort and supervisors,
any supervisor at all. Never silently nobody.

A batch costs a fixed number of queries, however many callbacks it asks for.
"""

from collections import Counter
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import NamedTuple

from odoo import SUPERUSER_ID, fields
from odoo.fields import Domain

OPERATOR = "missed_call_crm.group_operator"
SUPERVISOR = "missed_call_crm.group_supervisor"


@dataclass(frozen=True, slots=True)
class Request:
    """A callback somebody is wanted for.

    :ivar key: what the answer is found under.
    :ivar numbers: the client's numbers, as calls are matched by (``client_key``).
    :ivar call_ids: the missed calls, latest first.
    :ivar backend_id: the phone system; whoever set it up answers for it at last.
    """

    key: Hashable
    numbers: Collection[str] = ()
    partner_id: int | None = None
    lead_id: int | None = None
    queue_id: int | None = None
    call_ids: Collection[int] = ()
    backend_id: int | None = None


class Choice(NamedTuple):
    """:ivar is_fallback: nobody was available, the administrator has to see to it."""

    user_id: int
    is_fallback: bool = False


def find(env, company, requests, now=None):
    """Whom each request goes to: ``{key: user}``, a user for every request."""
    users = env["res.users"]
    return {
        key: users.browse(choice.user_id)
        for key, choice in choose(env, company, requests, now).items()
    }


def choose(env, company, requests, now=None):
    """As :func:`find`, telling whether anybody was available: ``{key: Choice}``."""
    requests = list(requests)
    if not requests:
        return {}
    return _Chooser(env, company, now or fields.Datetime.now()).choose(requests)


def able(env, company, user_ids):
    """Those of ``user_ids`` who may work on the company's callbacks: a set of ids.

    Active, internal, in the company and in a group of the addon (whoever is
    responsible for a callback may then read it).
    """
    if not user_ids:
        return set()
    return set(env["res.users"].sudo().search(_able_domain(env, company, user_ids)).ids)


def present(env, user_ids, now):
    """Those of ``user_ids`` who are neither on leave nor out of office at ``now``."""
    user_ids = set(user_ids)
    if not user_ids:
        return user_ids
    away = (
        env["resource.calendar.leaves"]
        .sudo()
        .search(
            [
                ("resource_id.user_id", "in", list(user_ids)),
                ("time_type", "=", "leave"),
                ("date_from", "<=", now),
                ("date_to", ">=", now),
            ]
        )
        .resource_id.user_id
    )
    # not is_out_of_office: that one goes by the clock of the transaction
    out = (
        env["res.users"]
        .sudo()
        .with_context(active_test=False)
        .search(
            Domain("id", "in", list(user_ids))
            & Domain("out_of_office_from", "<=", now)
            & (
                Domain("out_of_office_to", "=", False)
                | Domain("out_of_office_to", ">=", now)
            )
        )
    )
    return user_ids - set(away.ids) - set(out.ids)


def _able_domain(env, company, user_ids=None, group=OPERATOR):
    domain = (
        Domain("active", "=", True)
        & Domain("share", "=", False)
        & Domain("company_ids", "in", company.ids)
        & Domain("all_group_ids", "in", env.ref(group).ids)
    )
    if user_ids is not None:
        domain &= Domain("id", "in", list(user_ids))
    return domain


class _Chooser:
    """One batch: everything the chain may ask is read first, then it only decides."""

    def __init__(self, env, company, now):
        # who is responsible must not depend on what the present user may see
        self.env = env(su=True)
        self.company = company.with_env(self.env)
        self.now = now
        self._supervisors = None

    def choose(self, requests):
        self._read(requests)
        choices = {}
        for request in requests:
            user_id = self._first_available(request)
            if user_id:
                self.load[user_id] += 1
                choices[request.key] = Choice(user_id)
            else:
                choices[request.key] = Choice(self._administrator(request), True)
        for queue in self.queues.values():
            # written once, after the whole batch took its turns
            last = self.last_assigned[queue.id]
            if queue.assign_policy == "round_robin" and last:
                if queue.last_assigned_user_id.id != last:
                    queue.last_assigned_user_id = last
        return choices

    # -- reading ---------------------------------------------------------------

    def _read(self, requests):
        env, company = self.env, self.company
        self.salesmen = self._read_salesmen(requests)
        self.talkers = self._read_talkers(requests)
        self.rung = self._read_rung(requests)
        queue_ids = {request.queue_id for request in requests if request.queue_id}
        self.queues = {
            queue.id: queue for queue in env["pbx.queue"].browse(queue_ids).exists()
        }
        self.last_assigned = {
            queue.id: queue.last_assigned_user_id.id for queue in self.queues.values()
        }
        self.last_resort = [
            *company.pbx_callback_user_id.ids,
            *company.pbx_callback_supervisor_ids.ids,
        ]
        candidates = {*self.last_resort}
        for found in (self.salesmen, self.talkers):
            for user_ids in found.values():
                candidates.update(user_ids)
        for by_call in self.rung.values():
            candidates.update(by_call)
        for queue in self.queues.values():
            candidates.update(queue.member_ids.ids, queue.supervisor_ids.ids)
            candidates.update(queue.assign_user_id.ids)
        self.available = present(env, able(env, company, candidates), self.now)
        self.load = Counter()
        for user, count in env["pbx.callback"]._read_group(
            [("state", "in", ("todo", "overdue")), ("user_id", "!=", False)],
            ["user_id"],
            ["__count"],
        ):
            self.load[user.id] = count

    def _read_salesmen(self, requests):
        """Salespersons by request: the contact's, then the open lead's."""
        env = self.env
        partners = env["res.partner"].browse(
            {request.partner_id for request in requests if request.partner_id}
        )
        leads = self._open_leads(requests)
        found = {}
        partners = {partner.id: partner for partner in partners.exists()}
        for request in requests:
            user_ids = found[request.key] = []
            if partner := partners.get(request.partner_id):
                user_ids += partner.user_id.ids
                user_ids += partner.commercial_partner_id.user_id.ids
            for lead in leads:
                partner_id, number = lead.partner_id.id, lead.phone_sanitized
                if (
                    lead.id == request.lead_id
                    or (partner_id and partner_id == request.partner_id)
                    or (number and number in request.numbers)
                ):
                    user_ids += lead.user_id.ids
        return found

    def _open_leads(self, requests):
        """Open leads with a salesperson of the clients asked for, latest first."""
        ids = [request.lead_id for request in requests if request.lead_id]
        partner_ids = [request.partner_id for request in requests if request.partner_id]
        numbers = {number for request in requests for number in request.numbers}
        return self.env["crm.lead"].search(
            (
                Domain("id", "in", ids)
                | Domain("partner_id", "in", partner_ids)
                | Domain("phone_sanitized", "in", sorted(numbers))
            )
            & Domain("won_status", "=", "pending")
            & Domain("user_id", "!=", False)
            & Domain("company_id", "in", [self.company.id, False]),
            order="id desc",
        )

    def _read_talkers(self, requests):
        """Who last talked to the client, by request: a list of at most one."""
        self.env["pbx.call"].flush_model()
        talks = {}  # by number or contact: (when, user)
        numbers = sorted({number for request in requests for number in request.numbers})
        partner_ids = sorted({r.partner_id for r in requests if r.partner_id})
        for column, values in (("client_key", numbers), ("partner_id", partner_ids)):
            if not values:
                continue
            # the inner query walks one client's calls backwards and stops at the first
            self.env.cr.execute(
                f"""
                SELECT k.value, c.started_at, c.user_id
                  FROM unnest(%s) AS k(value)
                 CROSS JOIN LATERAL (
                    SELECT c.started_at, c.user_id
                      FROM pbx_call c
                     WHERE c.company_id = %s
                       AND c.{column} = k.value
                       AND c.contact_at IS NOT NULL
                       AND c.not_reached IS NOT TRUE
                       AND c.user_id IS NOT NULL
                     ORDER BY c.started_at DESC, c.id DESC
                     LIMIT 1) c
                """,
                [values, self.company.id],
            )
            talks.update({row[0]: (row[1], row[2]) for row in self.env.cr.fetchall()})
        found = {}
        for request in requests:
            keys = [*request.numbers, request.partner_id]
            latest = max((talks[key] for key in keys if key in talks), default=None)
            found[request.key] = [latest[1]] if latest else []
        return found

    def _read_rung(self, requests):
        """Operators rung by missed call, the last rung first."""
        call_ids = [call_id for request in requests for call_id in request.call_ids]
        if not call_ids:
            return {}
        self.env["pbx.call.leg"].flush_model()
        self.env.cr.execute(
            """
            SELECT l.call_id, l.user_id
              FROM pbx_call_leg l
             WHERE l.call_id = ANY(%s)
               AND l.kind = 'ring'
               AND l.user_id IS NOT NULL
             ORDER BY l.call_id, l.sequence DESC, l.id DESC
            """,
            [call_ids],
        )
        rung = {}
        for call_id, user_id in self.env.cr.fetchall():
            rung.setdefault(call_id, []).append(user_id)
        return rung

    # -- deciding --------------------------------------------------------------

    def _first_available(self, request):
        for user_ids in (self.salesmen[request.key], self.talkers[request.key]):
            for user_id in user_ids:
                if user_id in self.available:
                    return user_id
        for call_id in request.call_ids:
            # several phones ring at once in many groups: spread the work among them
            if user_id := self._least_loaded(self.rung.get(call_id, ())):
                return user_id
        if queue := self.queues.get(request.queue_id):
            if user_id := self._by_policy(queue):
                return user_id
            if user_id := self._least_loaded(queue.supervisor_ids.ids):
                return user_id
        for user_id in self.last_resort:
            if user_id in self.available:
                return user_id
        return self._any_supervisor()

    def _by_policy(self, queue):
        members = sorted(queue.member_ids.ids)
        if queue.assign_policy == "fixed":
            user_id = queue.assign_user_id.id
            return user_id if user_id in self.available else None
        if queue.assign_policy == "least_loaded":
            return self._least_loaded(members)
        last = self.last_assigned[queue.id] or 0
        in_turn = [user_id for user_id in members if user_id > last] + [
            user_id for user_id in members if user_id <= last
        ]
        for user_id in in_turn:
            if user_id in self.available:
                self.last_assigned[queue.id] = user_id
                return user_id
        return None

    def _least_loaded(self, user_ids):
        """The available one with the fewest open callbacks; the first of equals."""
        free = [user_id for user_id in user_ids if user_id in self.available]
        return min(free, key=lambda user_id: self.load[user_id], default=None)

    def _any_supervisor(self):
        if self._supervisors is None:
            domain = _able_domain(self.env, self.company, group=SUPERVISOR)
            found = self.env["res.users"].search(domain, order="id").ids
            here = present(self.env, found, self.now)
            self._supervisors = [user_id for user_id in found if user_id in here]
            self.available |= here
        return self._least_loaded(self._supervisors)

    def _administrator(self, request):
        """Somebody who can at least give the callback to the right person."""
        users = self.env["res.users"]
        creator = self.env["pbx.backend"].browse(request.backend_id).create_uid
        for user in (creator, self.env.ref("base.user_admin", False) or users):
            if user.active and not user.share:
                return user.id
        admins = _able_domain(self.env, self.company, group="base.group_system")
        return users.search(admins, limit=1, order="id").id or SUPERUSER_ID
