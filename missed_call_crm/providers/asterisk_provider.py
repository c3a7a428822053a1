# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""What all Asterisk phone systems have in common, whatever transports their records."""

from __future__ import annotations

from ..telephony.clock import PbxClock
from . import asterisk_calls
from .asterisk_channel import DialPlan
from .asterisk_columns import PbxTimes, remake
from .provider import Provider

# What each kind of records can tell (DESIGN 1.1, PBX_FACTS 6): question → kind →
# answer. Everything that is not named is "no".
_TELLS = {
    "unanswered": {"cdr": "partly", "queue_log": "partly", "cel": "yes"},
    "ring_seconds": {"cdr": "yes", "queue_log": "yes", "cel": "yes"},
    "positions": {"queue_log": "yes"},
    "hangup_by": {"queue_log": "partly", "cel": "yes"},
    "menu_wait": {"cdr": "partly", "cel": "yes"},
    "outbound": {"cdr": "yes", "cel": "yes"},
    "fault": {"queue_log": "partly", "cel": "yes"},
    "voicemail": {"cdr": "partly", "cel": "yes"},
    "logged_in": {"queue_log": "partly"},
    "unreachable": {"cdr": "partly", "cel": "partly"},
}


class AsteriskProvider(Provider):
    """Calls from cdr, queue_log and cel records; subclasses say how to read them."""

    def __init__(self, settings):
        super().__init__(settings)
        self.plan = DialPlan(
            trunk_pattern=settings.get("trunk_pattern") or "",
            extension_pattern=settings.get("extension_pattern") or "",
            closed_pattern=settings.get("closed_pattern") or "",
        )

    def assemble(self, records, restarts=()):
        return asterisk_calls.assemble(records, self.plan, restarts)

    def is_restart(self, record):
        return (
            record.kind == "queue_log" and record.payload.get("event") == "QUEUESTART"
        )

    def is_extension(self, number):
        return self.plan.is_extension(number)

    def describe(self, source):
        kinds = list(source.tables())
        return {
            question: {kind: answers.get(kind, "no") for kind in kinds}
            for question, answers in _TELLS.items()
        }

    def reread(self, kind, payload):
        times = PbxTimes(PbxClock(self.settings.get("tz") or "UTC"))
        return remake(kind, payload, times)
