# Copyright Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl)

"""The story of a call: what happened, why nobody answered, second by second.

Everything is built from the steps of the call by fixed sentences and never guessed:
what the source cannot tell is left out or printed as "–".
"""

from datetime import timedelta

from odoo import fields

from ..telephony.outcome import ABANDONED, MISSED
from ..telephony.resolution import DISMISSED, IGNORED, OWED
from .helpers import format_seconds

LEG_LOOKS = {
    # kind or result: (icon, tone)
    "menu": ("fa-list-ol", "secondary"),
    "announcement": ("fa-bullhorn", "secondary"),
    "queue": ("fa-users", "warning"),
    "ring": ("fa-bell", "primary"),
    "talk": ("fa-phone", "success"),
    "voicemail": ("fa-envelope-o", "info"),
    "transfer": ("fa-share", "info"),
    "busy": ("fa-ban", "danger"),
    "rejected": ("fa-ban", "danger"),
    "unreachable": ("fa-power-off", "danger"),
    "failed": ("fa-chain-broken", "danger"),
}
POINT_RESULTS = ("busy", "rejected", "unreachable", "failed")
# A talk is looked for this long before the call: no index has both its ends.
LONGEST_TALK = timedelta(hours=4)


class CallStory:
    """Words and geometry of one call, for the template ``call_story``.

    :param call: one ``pbx.call`` in superuser mode: names of colleagues are no secret
        inside the story of a call one may see
    """

    def __init__(self, call):
        self.call = call
        self.env = call.env
        self.legs = call.leg_ids.sorted(
            lambda leg: (leg.started_at or call.started_at, leg.sequence, leg.id)
        )
        self.start = call.started_at
        ends = [leg.ended_at for leg in self.legs if leg.ended_at]
        self.end = max([call.ended_at or self.start, *ends])
        self.span = max(int((self.end - self.start).total_seconds()), 1)

    def values(self):
        """``{"outcome", "why", "fix", "lanes", "ticks", "gaps", "steps"}``."""
        busy = self._other_talks()
        return {
            "call": self.call,
            "outcome": self._outcome(),
            "why": self._why(busy),
            "fix": self._fix(),
            "lanes": self._lanes(busy) if len(self.legs) > 1 else [],
            "ticks": self._ticks(),
            "rang": self._rang(),
            "steps": self._steps(busy),
        }

    # ------------------------------------------------------------------
    # Small words
    # ------------------------------------------------------------------

    def _clock(self, moment):
        local = fields.Datetime.context_timestamp(self.call, moment)
        return local.strftime("%H:%M:%S")

    def _label(self, record, name):
        options = dict(record._fields[name]._description_selection(self.env))
        return options.get(record[name], "")

    def _seconds(self, leg):
        start, end = leg.started_at, leg.ended_at
        return int((end - start).total_seconds()) if start and end else None

    def _who(self, leg):
        return leg.party or "–"

    def _short_who(self, leg):
        return leg.extension_id.number or leg.user_id.name or leg.agent or "–"

    def _join(self, names):
        names = list(dict.fromkeys(names))
        if len(names) < 2:
            return "".join(names)
        return self.env._(
            "%(some)s and %(last)s", some=", ".join(names[:-1]), last=names[-1]
        )

    # ------------------------------------------------------------------
    # The three sentences
    # ------------------------------------------------------------------

    def _outcome(self):
        call = self.call
        _ = self.env._
        if call.is_open:
            return {
                "tone": "info",
                "icon": "fa-hourglass-half",
                "title": _("In progress, or just ended"),
                "text": _("The call is judged once its last records are there."),
            }
        title = self._label(call, "outcome")
        if call.reason:
            title = _(
                "%(outcome)s: %(reason)s",
                outcome=title,
                reason=self._label(call, "reason").lower(),
            )
        parts = []
        if call.wait_seconds is not False and call.direction == "inbound":
            parts.append(_("waited %(time)s", time=format_seconds(call.wait_seconds)))
        if call.talk_seconds:
            parts.append(_("talked %(time)s", time=format_seconds(call.talk_seconds)))
        if call.outcome in (MISSED, ABANDONED) and call.ended_at:
            ended = self._clock(call.ended_at)
            if call.position_exit is not False and call.queue_id:
                parts.append(
                    _(
                        "left at position %(position)s of %(queue)s at %(time)s",
                        position=call.position_exit,
                        queue=call.queue_id.name,
                        time=ended,
                    )
                )
            elif call.hangup_by == "client":
                parts.append(_("hung up at %(time)s", time=ended))
            else:
                parts.append(_("ended at %(time)s", time=ended))
        if call.has_voicemail:
            parts.append(_("left a message"))
        if call.is_short:
            parts.append(_("short call, counted apart"))
        lost = call.outcome in (MISSED, ABANDONED)
        answered = call.outcome == "answered"
        return {
            "tone": "danger" if lost else "success" if answered else "secondary",
            "icon": "fa-phone-square" if not answered else "fa-check-circle",
            "title": title,
            "text": ", ".join(parts),
        }

    def _why(self, busy):
        """Sentences on what every phone did; None if there is nothing to explain."""
        call = self.call
        if call.outcome not in (MISSED, ABANDONED) or call.is_open:
            return None
        _ = self.env._
        rings = self.legs.filtered(lambda leg: leg.kind == "ring")
        sentences = []
        if call.reason == "out_of_hours":
            sentences.append(_("The company was closed."))
        elif not rings and call.reason == "no_operators":
            sentences.append(_("No operator was there to be rung."))
        elif not rings and call.reason == "menu_hangup":
            sentences.append(
                _("The client hung up before a queue group or an operator was reached.")
            )
        elif not rings:
            sentences.append(_("No phone rang."))
        for result, one, many in (
            ("busy", _("%s was busy."), _("%s were busy.")),
            ("rejected", _("%s rejected the call."), _("%s rejected the call.")),
            ("unreachable", _("%s was unreachable."), _("%s were unreachable.")),
        ):
            names = [
                self._short_who(leg) + self._talking(leg, busy)
                for leg in rings
                if leg.result == result
            ]
            if names := list(dict.fromkeys(names)):
                sentences.append((many if names[1:] else one) % self._join(names))
        sentences += self._unanswered_rings(rings)
        if gap := self._gap_sentence(rings):
            sentences.append(gap)
        return " ".join(sentences)

    def _talking(self, leg, busy):
        talk = busy.get(leg.extension_id.id)
        if not talk or leg.result != "busy":
            return ""
        return self.env._(
            " (on another call since %(time)s)", time=self._clock(talk.started_at)
        )

    def _unanswered_rings(self, rings):
        times = {}
        for leg in rings:
            if leg.result == "no_answer":
                name = self._short_who(leg)
                times[name] = times.get(name, 0) + (self._seconds(leg) or 0)
        if not times:
            return []
        _ = self.env._
        if len(times) > 1 and len(set(times.values())) == 1:
            return [
                _(
                    "%(names)s rang %(seconds)s s each and did not pick up.",
                    names=self._join(times),
                    seconds=next(iter(times.values())),
                )
            ]
        each = [
            _("%(name)s rang %(seconds)s s", name=name, seconds=seconds)
            for name, seconds in times.items()
        ]
        return [
            _("%(rings)s and did not pick up.", rings=each[0])
            if len(each) == 1
            else _("%(rings)s; nobody picked up.", rings=self._join(each))
        ]

    def _gap_sentence(self, rings):
        """How long no phone rang while the client waited in a queue."""
        queues = self.legs.filtered(lambda leg: leg.kind == "queue")
        if not queues or not rings:
            return None
        waited = sum(self._seconds(leg) or 0 for leg in queues)
        rung = sum(end - start for start, end in self._union(rings, queues))
        silent = waited - rung
        if silent < 2:
            return None
        return self.env._(
            "For %(silent)s of the %(waited)s s in the queue no phone rang.",
            silent=silent,
            waited=waited,
        )

    def _fix(self):
        call = self.call
        _ = self.env._
        if call.resolution == "fixed" or (call.resolution == "late" and call.fixed_at):
            fix = call.fix_call_id
            who = fix.user_id.name or fix.agent or fix.extension_id.number or "–"
            text = (
                _("%(who)s called back at %(time)s", who=who, time=self._when(fix))
                if call.fixed_by == "callback"
                else _(
                    "rang again at %(time)s, %(who)s answered",
                    who=who,
                    time=self._when(fix),
                )
            )
            if fix.talk_seconds:
                text += _(", talked %(time)s", time=format_seconds(fix.talk_seconds))
            if call.fix_is_shared:
                text += _("; through a number several contacts share")
            late = call.resolution == "late"
            return {
                "tone": "warning" if late else "success",
                "icon": "fa-hourglass-half" if late else "fa-check-circle",
                "title": (
                    _("Reached late, after %(time)s", time=self._after())
                    if late
                    else _("Fixed after %(time)s", time=self._after())
                ),
                "text": text,
            }
        if call.resolution in OWED:
            over = call.resolution == "unfixed"
            tries = call.attempt_count
            return {
                "tone": "danger" if over else "warning",
                "icon": "fa-exclamation-triangle" if over else "fa-clock-o",
                "title": _("Still to be called") if over else _("To be called back"),
                "text": _(
                    "%(tries)s; responsible: %(who)s",
                    tries=(
                        _("%s attempts", tries)
                        if tries > 1
                        else _("1 attempt")
                        if tries
                        else _("no attempt yet")
                    ),
                    who=call.responsible_id.name or "–",
                ),
            }
        if call.resolution == DISMISSED:
            return {
                "tone": "secondary",
                "icon": "fa-times-circle",
                "title": _("Dismissed"),
                "text": ": ".join(
                    filter(
                        None,
                        [
                            self._label(call, "dismiss_reason"),
                            call.dismiss_note,
                        ],
                    )
                ),
            }
        if call.resolution == IGNORED:
            return {
                "tone": "secondary",
                "icon": "fa-minus-circle",
                "title": _("No callback owed"),
                "text": (
                    _("Anonymous: cannot be called back.")
                    if call.is_anonymous
                    else _("Excluded by a rule, or short.")
                ),
            }
        return None

    def _when(self, call):
        return self._clock(call.answered_at or call.started_at) if call else "–"

    def _after(self):
        minutes = self.call.reached_after or 0
        if minutes < 60:
            return self.env._("%s min", minutes)
        return self.env._(
            "%(hours)s h %(minutes)s min", hours=minutes // 60, minutes=minutes % 60
        )

    # ------------------------------------------------------------------
    # The picture
    # ------------------------------------------------------------------

    def _offset(self, moment):
        return min(max(int((moment - self.start).total_seconds()), 0), self.span)

    def _bar(self, start, end, **values):
        left = self._offset(start)
        right = max(self._offset(end or self.end), left)
        return {
            "start": round(100 * left / self.span, 2),
            "width": round(100 * (right - left) / self.span, 2),
            "seconds": right - left,
            **values,
        }

    def _lanes(self, busy):
        """One lane per party, in order of appearance."""
        lanes = {}
        for leg in self.legs:
            if not leg.started_at or leg.kind == "transfer":
                continue
            key = (
                ("extension", leg.extension_id.id or leg.user_id.id or leg.agent)
                if leg.kind in ("ring", "talk")
                else (leg.kind, leg.queue_id.id)
            )
            lane = lanes.get(key)
            if lane is None:
                lane = lanes[key] = {
                    "name": self._who(leg) if leg.party else self._label(leg, "kind"),
                    "note": "",
                    "bars": [],
                    "busy": [],
                }
                talk = busy.get(leg.extension_id.id)
                if talk and leg.kind == "ring":
                    lane["note"] = self.env._(
                        "on another call since %(time)s",
                        time=self._clock(talk.started_at),
                    )
                    lane["busy"].append(self._bar(talk.started_at, talk.ended_at))
            icon, tone = self._look(leg)
            seconds = self._seconds(leg)
            lane["bars"].append(
                self._bar(
                    leg.started_at,
                    leg.ended_at,
                    tone=tone,
                    icon=icon,
                    point=leg.result in POINT_RESULTS or not seconds,
                    label=self._bar_label(leg, seconds),
                )
            )
        return list(lanes.values())

    def _bar_label(self, leg, seconds):
        _ = self.env._
        if leg.kind == "ring":
            if leg.result in POINT_RESULTS:
                return self._label(leg, "result").lower()
            return _("rang %s s", seconds or 0)
        if leg.kind == "talk":
            return _("talked %(time)s", time=format_seconds(seconds))
        if leg.kind == "queue":
            return _("waited %(time)s", time=format_seconds(seconds))
        return format_seconds(seconds)

    def _look(self, leg):
        if leg.kind == "ring" and leg.result in LEG_LOOKS:
            return LEG_LOOKS[leg.result]
        return LEG_LOOKS[leg.kind]

    def _ticks(self):
        step = max(self.span // 4, 1)
        return [
            {
                "start": round(100 * second / self.span, 2),
                "text": self._clock(self.start + timedelta(seconds=second)),
            }
            for second in range(0, self.span, step)
        ][:5]

    def _union(self, rings, inside=None):
        """Times (seconds from the start) when at least one phone rang, merged.

        :param inside: legs to which the times are cut, if given
        """
        spans = sorted(
            (self._offset(leg.started_at), self._offset(leg.ended_at or self.end))
            for leg in rings
            if leg.started_at
        )
        merged = []
        for start, end in spans:
            if merged and start <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([start, end])
        if inside is None:
            return merged
        return [
            [max(start, low), min(end, high)]
            for start, end in merged
            for low, high in self._union(inside)
            if max(start, low) < min(end, high)
        ]

    def _rang(self):
        """Bars of the lowest lane: when a phone rang at all."""
        rings = self.legs.filtered(lambda leg: leg.kind == "ring")
        return [
            {
                "start": round(100 * start / self.span, 2),
                "width": round(100 * (end - start) / self.span, 2),
                "seconds": end - start,
            }
            for start, end in self._union(rings)
            if end > start
        ]

    # ------------------------------------------------------------------
    # The steps
    # ------------------------------------------------------------------

    def _steps(self, busy):
        steps = []
        _ = self.env._
        for leg in self.legs:
            icon, tone = self._look(leg)
            seconds = self._seconds(leg)
            details = []
            if leg.result:
                details.append(self._label(leg, "result").lower())
            if leg.kind == "queue":
                if leg.position_entry is not False:
                    details.append(_("entered at position %s", leg.position_entry))
                if leg.position_exit is not False:
                    details.append(_("left at position %s", leg.position_exit))
            talk = busy.get(leg.extension_id.id)
            if talk and leg.kind == "ring":
                details.append(
                    _(
                        "on another call since %(time)s",
                        time=self._clock(talk.started_at),
                    )
                )
            offset = self._offset(leg.started_at) if leg.started_at else None
            name = self._label(leg, "kind")
            if leg.party:
                name = f"{name}, {leg.party}"
            steps.append(
                {
                    "at": self._clock(leg.started_at) if leg.started_at else "–",
                    "after": "–" if offset is None else _("+%s s", offset),
                    "icon": icon,
                    "tone": tone,
                    "name": name,
                    "details": " · ".join(details),
                    "lasted": format_seconds(seconds),
                    "width": round(100 * min(seconds or 0, self.span) / self.span, 2),
                }
            )
        return steps

    def _other_talks(self):
        """``{extension id: talk leg}`` of those who talked elsewhere at that time."""
        extensions = self.legs.filtered(lambda leg: leg.kind == "ring").extension_id
        if not extensions or not self.start:
            return {}
        talks = self.env["pbx.call.leg"].search(
            [
                ("extension_id", "in", extensions.ids),
                ("kind", "=", "talk"),
                ("call_id", "!=", self.call.id),
                ("started_at", ">=", self.start - LONGEST_TALK),
                ("started_at", "<=", self.end),
                ("ended_at", ">", self.start),
            ],
            order="started_at desc, id",
        )
        return {talk.extension_id.id: talk for talk in talks}
