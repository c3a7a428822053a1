# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Names of Asterisk channels: which end is a phone, which a trunk.

Asterisk writes no direction into its records. What it writes is the channel, as
``technology/peer-serial``: ``PJSIP/201-0000001a`` is the phone 201,
``PJSIP/trunk_msk-00000001`` a trunk, ``Local/204@from-queue-00000004;1`` one half of a
pipe between two parts of the dial plan and nobody's phone.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

#: Longest number that can still be an extension (DESIGN 4: patterns override it).
MAX_EXTENSION_DIGITS = 6

#: Context or extension of a closed branch, by whole words between separators.
CLOSED_PATTERN = (
    r"(?i)(?:^|[^a-z])(?:ooh|"
    r"(?:out|after|off)[-_ ]?(?:of[-_ ]?)?(?:office[-_ ]?)?hours?|"
    r"night(?:[-_ ]?(?:mode|service|time))?|closed|holidays?|weekends?|"
    r"non[-_ ]?work(?:ing)?(?:[-_ ]?(?:time|hours?))?)(?![a-z])"
)
#: Greater numbers in a column are no count, no position, no time and no cause.
_MAX_NUMBER = 10**9
# Contexts that decide whether the company is open: every call passes them.
_CONDITION = re.compile(
    r"(?i)time[-_ ]?cond|gotoiftime|day[-_ ]?night|check|schedule|toggle"
)

_HEX = "0123456789abcdefABCDEF"
_SERIAL = re.compile(r"-[0-9a-fA-F]{6,}$")
_LOCAL = re.compile(
    r"^(?P<exten>[^@]*)@(?P<context>.*?)(?:-[0-9a-fA-F]{4,})?(?:;(?P<half>[12]))?$"
)
_DEVICE_SUFFIX = re.compile(r"^(?P<number>\d+)(?:[-_][A-Za-z0-9]{1,12})?$")
# Contexts in which calls from outside arrive, and in which phones call.
_OUTSIDE = re.compile(r"(?i)trunk|pstn|outside|external|incoming|inbound|from-did")
# Technologies of lines to the outside world unless their peer is an extension.
_LINE_TECHS = frozenset({"DAHDI", "ZAP", "KHOMP", "DONGLE", "QUECTEL", "MISDN", "CAPI"})


class Channel(NamedTuple):
    """What a channel name says.

    :ivar kind: ``device``, ``trunk`` or ``local``.
    :ivar peer: endpoint or trunk name; for a local channel the extension it dials.
    :ivar half: 1 or 2 for the halves of a local channel, else 0.
    :ivar base: the name without serial; for a local channel with serial, without half.
    """

    name: str
    kind: str
    peer: str
    half: int = 0
    base: str = ""

    @property
    def extension(self) -> str:
        """The number of the phone: ``201`` for peers 201, 201-web and 201_mobile."""
        return _number_of(self.peer) or self.peer


@lru_cache(maxsize=4096)
def _number_of(peer):
    """The number a peer is named by, with or without a device suffix; "" if none."""
    found = _DEVICE_SUFFIX.match(peer)
    return found["number"] if found else ""


class DialPlan:
    """Reads names of one phone system with its administrator's patterns.

    :param trunk_pattern: regular expression on the peer name; what it matches is a
        trunk. Empty: what is not an extension is one.
    :param extension_pattern: what it matches is a phone. Empty: names of at most six
        digits, with an optional device suffix.
    :param closed_pattern: regular expression on context and extension of the closed
        branch. Empty: common names such as ooh, night, closed, holiday.
    """

    def __init__(
        self,
        trunk_pattern: str = "",
        extension_pattern: str = "",
        closed_pattern: str = "",
    ) -> None:
        self._trunk = re.compile(trunk_pattern) if trunk_pattern else None
        self._extension = re.compile(extension_pattern) if extension_pattern else None
        self._has_pattern = bool(trunk_pattern or extension_pattern)
        self._closed = re.compile(closed_pattern or CLOSED_PATTERN)
        self._has_own_closed = bool(closed_pattern)
        # Names of channels never come again, those of peers and contexts always do.
        self.channel = lru_cache(maxsize=1024)(self._channel)
        self._is_device = lru_cache(maxsize=4096)(self._find_device)
        self._is_unnumbered = lru_cache(maxsize=4096)(_is_unnumbered)
        self._is_closed_name = lru_cache(maxsize=4096)(self._find_closed)

    def _channel(self, name: str) -> Channel | None:
        """Parse a channel name or a dial target; None if it is neither."""
        tech, _slash, rest = (name or "").partition("/")
        if not (tech and rest) or name[-1] == ">":
            return None  # PJSIP/201-0000001a<ZOMBIE> is a remainder
        if tech.lower() == "local":
            local = _LOCAL.match(rest)
            if not local:
                return Channel(name, "local", rest, 0, name)
            base = name[:-2] if local["half"] else name
            return Channel(name, "local", local["exten"], int(local["half"] or 0), base)
        if rest[-9:-8] == "-" and not rest[-8:].strip(_HEX):
            peer = rest[:-9]
        else:
            peer = _SERIAL.sub("", rest)
        if "/" in peer:  # DAHDI/i1/79161234567-1, SIP/trunk/number
            peer = peer.split("/", 1)[0]
        kind = "device" if self._is_device(tech, peer) else "trunk"
        return Channel(name, kind, peer, 0, f"{tech}/{peer}")

    def _find_device(self, tech: str, peer: str) -> bool:
        if self._extension is not None and self._extension.search(peer):
            return True
        if self._trunk is not None and self._trunk.search(peer):
            return False
        if self._extension is not None or tech.upper() in _LINE_TECHS:
            return False
        return self.is_extension(peer)

    def caller(self, name: str, number: str | None, context: str | None):
        """The calling channel. A phone may have a name instead of a number
        (``PJSIP/anna``): then its own caller id and its context give it away.
        """
        parsed = self.channel(name)
        if (
            parsed is not None
            and parsed.kind == "trunk"
            and not self._has_pattern
            and self._is_unnumbered(parsed.peer)
            and self.is_extension(number)
            and not _OUTSIDE.search(context or "")
        ):
            return Channel(name, "device", number, 0, parsed.base)
        return parsed

    def called(self, name: str, app: str | None, data: str | None):
        """The called channel. A dial target without a number (``PJSIP/anna``, not
        ``PJSIP/8916…@line``) and whatever a queue rings are phones.
        """
        parsed = self.channel(name)
        if parsed is None or parsed.kind != "trunk" or self._has_pattern:
            return parsed
        if app == "Queue" or self._is_dialled_phone(parsed.base, data):
            return Channel(name, "device", parsed.peer, 0, parsed.base)
        return parsed

    def _is_dialled_phone(self, base: str, data: str | None) -> bool:
        """``PJSIP/anna`` or FreePBX's ``PJSIP/anna/sip:anna@host`` was dialled."""
        return any(
            target == base
            or (
                target.startswith((base + "/sip:", base + "/sips:"))
                and not self.is_outside(dialled_number(target))
            )
            for target in dial_targets(data)
        )

    def is_outside(self, number: str | None) -> bool:
        """Whether a dialled number is one of the public network, by its length."""
        if not number or len(number) <= MAX_EXTENSION_DIGITS:
            return False
        if self.is_extension(number):
            return False
        return sum(char.isdigit() for char in number) > MAX_EXTENSION_DIGITS

    def is_extension(self, number: str | None) -> bool:
        """Whether a number or peer name is one of the phone system's own phones."""
        if not number:
            return False
        if self._extension is not None and self._extension.search(number):
            return True
        return 0 < len(_number_of(number)) <= MAX_EXTENSION_DIGITS

    def agent_extension(self, agent: str | None) -> str | None:
        """Extension of a queue member written as an interface, else None.

        Members may be written by name (``Frolova K.``): a name is no extension.
        """
        if not agent or agent == "NONE":
            return None
        parsed = self.channel(agent)
        if parsed is None:
            return agent if self.is_extension(agent) else None
        if parsed.kind == "local":
            return parsed.peer if self.is_extension(parsed.peer) else None
        return parsed.extension

    def is_closed(self, context: str | None, extension: str | None) -> bool:
        """Whether context or extension name the branch for closed hours."""
        if context and self._is_closed_name(context):
            return True
        # Most extensions are numbers, seldom the same twice.
        if not extension or (extension.isdecimal() and not self._has_own_closed):
            return False
        return self._is_closed_name(extension)

    def _find_closed(self, name):
        if not self._closed.search(name):
            return False
        return self._has_own_closed or not _CONDITION.search(name)


def _is_unnumbered(peer):
    """A peer that may be a person's phone: no digits, and no word for a line."""
    return not any(char.isdigit() for char in peer) and not _OUTSIDE.search(peer)


def dial_targets(data: str | None) -> list[str]:
    """Targets of ``Dial(A&B,30)``: ``["A", "B"]``; also ``PJSIP/8916…@trunk``."""
    if not data:
        return []
    first = data.partition(",")[0].partition("|")[0]
    return [target for target in first.split("&") if "/" in target]


def dialled_number(target: str) -> str:
    """The number within a dial target: ``PJSIP/8916@trunk`` → ``8916``.

    FreePBX names the contact as well: ``PJSIP/201/sip:201@host``,
    ``PJSIP/trunk/sip:8916@host``.
    """
    rest = target.split("/", 1)[1]
    peer, slash, tail = rest.rpartition("/")
    if slash:
        scheme, colon, user = tail.partition(":")
        if colon and scheme in ("sip", "sips") and _DEVICE_SUFFIX.match(peer):
            found = _DEVICE_SUFFIX.match(peer)["number"]
            if len(found) <= MAX_EXTENSION_DIGITS:
                return found
        rest = user if colon and scheme in ("sip", "sips") else tail
    return rest.split("@", 1)[0]


def as_int(value: object) -> int | None:
    """A number as a column holds it; None for what is none (never 0 for unknown)."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) <= _MAX_NUMBER else None
