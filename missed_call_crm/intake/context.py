# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""What one pull needs to know of its phone system, read once."""

from dataclasses import dataclass, field
from datetime import timedelta

from ..telephony.call import Rules
from ..telephony.number import Kind
from .hours import Hours

#: Digits of a number that can be called back at all (E.164 has at most fifteen).
_DIALLABLE = (3, 15)


@dataclass(slots=True)
class QueueRule:
    """Rules of a queue group, the company's defaults filled in."""

    id: int | None
    rules: Rules
    fix_window_hours: float
    window_start: str
    calendar_id: int | None
    is_mobile_only: bool = False


@dataclass(slots=True)
class ExtensionEntry:
    """An extension and who held it when: ``(from, to, user id)``, None = open."""

    id: int
    number: str
    holders: list = field(default_factory=list)

    def user_at(self, moment):
        for start, end, user_id in self.holders:
            if (start is None or start <= moment) and (end is None or moment < end):
                return user_id
        return None


class Context:
    """Settings of one backend and the directory of its queues and extensions.

    Queues and extensions seen for the first time are created here, marked as to be
    completed, once per batch.
    """

    def __init__(self, backend):
        backend = backend.sudo()  # the intake reads and writes what nobody may
        self.backend = backend
        self.env = backend.env
        self.cr = backend.env.cr
        self.backend_id = backend.id
        self.company = backend.company_id
        self.company_id = backend.company_id.id
        self.provider = backend._get_provider_class()(backend._provider_settings__())
        self.plan = backend._number_plan()
        self.settle = timedelta(seconds=backend.settle_seconds)
        self.silence = timedelta(minutes=backend.max_call_minutes)
        self.hours = Hours(self.env, self.company)
        company = self.company
        self.match_scope = company.pbx_match_scope
        self.ignored_reasons = set(company.pbx_ignored_reason_ids.mapped("code"))
        self._load_queues()
        self._load_extensions()
        self._load_number_rules()
        self._restarts = set()

    # -- queues ------------------------------------------

    def _load_queues(self):
        company, talk = self.company, self.backend.min_talk_seconds
        self.no_queue = QueueRule(
            id=None,
            rules=Rules(company.pbx_short_seconds, talk),
            fix_window_hours=company.pbx_fix_window_hours,
            window_start=company.pbx_window_start,
            calendar_id=company.pbx_calendar_id.id or None,
        )
        queues = (
            self.env["pbx.queue"]
            .with_context(active_test=False)
            .search([("backend_id", "=", self.backend_id)])
        )
        self.queues = {queue.code: self._queue_rule(queue) for queue in queues}
        self.rule_of_queue_id = {rule.id: rule for rule in self.queues.values()}

    def _queue_rule(self, queue):
        default = self.no_queue
        short = queue.short_seconds
        start = queue.window_start
        return QueueRule(
            id=queue.id,
            rules=Rules(
                default.rules.short_seconds if short < 0 else short,
                default.rules.min_talk_seconds,
            ),
            fix_window_hours=queue.fix_window_hours or default.fix_window_hours,
            window_start=default.window_start if start == "company" else start,
            calendar_id=queue.resource_calendar_id.id or default.calendar_id,
            is_mobile_only=queue.callback_for == "mobile",
        )

    def add_queues(self, codes_by_kind):
        """Create the queues of ``{code: kind}`` that are not known yet."""
        missing = [code for code in sorted(codes_by_kind) if code not in self.queues]
        if not missing:
            return
        queues = self.env["pbx.queue"].create(
            [
                {
                    "name": code,
                    "code": code,
                    "kind": codes_by_kind[code],
                    "backend_id": self.backend_id,
                    "to_complete": True,
                }
                for code in missing
            ]
        )
        for queue in queues:
            rule = self.queues[queue.code] = self._queue_rule(queue)
            self.rule_of_queue_id[rule.id] = rule

    def queue_rule(self, code):
        """Rules for calls of a queue code; the company's for calls without queue."""
        return self.queues.get(code, self.no_queue) if code else self.no_queue

    # -- extensions ------------------------------------------

    def _load_extensions(self):
        extensions = (
            self.env["pbx.extension"]
            .with_context(active_test=False)
            .search([("backend_id", "=", self.backend_id)])
        )
        self.extensions = {}
        self._aliases = {}
        for extension in extensions:
            self._remember(extension)

    def _remember(self, extension):
        entry = ExtensionEntry(extension.id, extension.number)
        entry.holders = [
            (holder.date_from or None, holder.date_to or None, holder.user_id.id)
            for holder in extension.holder_ids
        ]
        self.extensions[extension.number] = entry
        for alias in (extension.aliases or "").splitlines():
            if alias.strip():
                self._aliases[alias.strip()] = entry

    def extension(self, operator, agent):
        """Directory entry for a leg's operator number or agent name, or None."""
        for name in (operator, agent):
            if name:
                entry = self.extensions.get(name) or self._aliases.get(name)
                if entry is not None:
                    return entry
        return None

    def is_own_phone(self, operator):
        """Whether an operator's number is an extension (else an outside phone)."""
        return self.provider.is_extension(operator) or self._is_name(operator)

    def _is_name(self, operator):
        return not any(char.isdigit() for char in operator)

    def add_extensions(self, names):
        """Create extensions for names and numbers that are not known yet."""
        missing = [
            name
            for name in sorted(names)
            if name not in self.extensions and name not in self._aliases
        ]
        if not missing:
            return
        for extension in self.env["pbx.extension"].create(
            [
                {"number": name, "backend_id": self.backend_id, "to_complete": True}
                for name in missing
            ]
        ):
            self._remember(extension)

    def add_aliases(self, pairs):
        """Learn how the queue log writes a phone: ``{agent name: extension}``."""
        for agent, number in sorted(pairs.items()):
            entry = self.extensions.get(number)
            if entry is None or agent in self._aliases or agent in self.extensions:
                continue
            extension = self.env["pbx.extension"].browse(entry.id)
            known = extension.aliases or ""
            extension.aliases = f"{known}\n{agent}".strip()
            self._aliases[agent] = entry

    # -- numbers ------------------------------------------

    def _load_number_rules(self):
        rules = self.env["pbx.number.rule"].search(
            [("company_id", "=", self.company_id)]
        )
        self._excluded, self._excluded_beginnings = rules._keys()

    def is_excluded(self, number):
        """Whether a client's number is our own or on the excluded list."""
        if not number:
            return False
        if number in self._excluded:
            return True
        return bool(self._excluded_beginnings) and number.startswith(
            self._excluded_beginnings
        )

    def client(self, raw):
        """The client's number in its normal form, and whether he hides it."""
        number = self.plan.normalise(raw)
        is_hidden = number.kind == Kind.HIDDEN or not number.key
        if not number.e164 and not _DIALLABLE[0] <= len(number.digits) <= _DIALLABLE[1]:
            is_hidden = True
        return number, is_hidden

    # -- restarts ------------------------------------------

    def add_restarts(self, moments):
        """Remember restarts that arrive; they are stored after the calls they cut."""
        self._restarts.update(moments)

    def restarts(self, since, until):
        """Sorted moments in ``[since, until]`` of the phone system's restarts."""
        self.cr.execute(
            """
            SELECT occurred_at FROM pbx_record
             WHERE backend_id = %s AND call_key IS NULL
               AND occurred_at BETWEEN %s AND %s
               AND kind = 'queue_log' AND payload ->> 'event' = 'QUEUESTART'
            """,
            [self.backend_id, since, until],
        )
        found = {row[0] for row in self.cr.fetchall()}
        found |= {moment for moment in self._restarts if since <= moment <= until}
        return sorted(found)
