# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Values of pushed records: what is taken, and what is told of what is not.

The sender is another program: whatever it sends is either understood or refused with
a text its author can act upon, and never fails in the database later.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

from ..telephony.clock import parse_timestamp
from .base import SourceError, _lt

#: Characters of numbers and names kept, and of addresses taken.
TEXT_LIMIT = 256
URL_LIMIT = 2048
#: Largest number a column holds.
_MAX_INTEGER = 2**31 - 1
_MAX_DEPTH = 16
_MAX_BITS = 256
_SHOWN = 60
# NUL and halves of surrogate pairs cannot be stored as text.
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")
_NOT_PRINTED = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f\"<>\\^`{|}]")


class NotAccepted(SourceError):
    """A pushed record is refused; the text is for who wrote its sender."""


def shown(value: Any) -> str:
    """A value of any type as it appears in an error: short, on one line."""
    text = value if isinstance(value, str) else type(value).__name__
    text = ascii(text) if _NOT_STORABLE.search(text) else repr(text)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def check_text(text: str, name: str) -> str:
    """The text itself.

    :raises NotAccepted: if PostgreSQL could not store it.
    """
    if _NOT_STORABLE.search(text):
        raise NotAccepted(
            _lt("%(field)s holds a character that is no text (NUL or half a pair)."),
            field=name,
        )
    return text


def plain(value: Any, name: str, depth: int = 0) -> Any:
    """A copy of a value nobody here knows, if it can be kept as JSON.

    :raises NotAccepted: if it cannot: no JSON type, not finite, nested too deep.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return check_text(value, name)
    if isinstance(value, int) and value.bit_length() <= _MAX_BITS:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, datetime):  # XML-RPC has a type of its own for times
        return value.isoformat()
    if depth >= _MAX_DEPTH:
        raise NotAccepted(_lt("%(field)s is nested too deep."), field=name)
    if isinstance(value, (list, tuple)):
        return [plain(item, name, depth + 1) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {
            check_text(key, name): plain(item, name, depth + 1)
            for key, item in value.items()
        }
    raise NotAccepted(
        _lt("%(field)s holds a value that cannot be kept as JSON: %(value)s."),
        field=name,
        value=shown(value),
    )


def moment_of(text: str) -> datetime:
    """Naive UTC of a time in a stored payload."""
    return datetime.fromisoformat(text[:-1])


def text_of(moment: datetime) -> str:
    """How a payload stores a naive UTC time: one text for each instant."""
    return moment.isoformat() + "Z"


class Values:
    """The named values of one pushed record or of one of its legs.

    Every method returns None for a value that is missing, null or blank.

    :param path: where the values stand, for the errors: ``legs[2].``
    """

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self._values = values
        self._path = path

    def name(self, key: str) -> str:
        """The value's place as errors name it."""
        return self._path + key

    def _refuse(self, template, key, **values):
        raise NotAccepted(template, field=self.name(key), **values)

    def _get(self, key):
        value = self._values.get(key)
        if isinstance(value, str):
            value = check_text(value, self.name(key)).strip() or None
        return value

    def need(self, key: str, value: Any) -> Any:
        """``value``, which must not be None.

        :raises NotAccepted: if it is.
        """
        if value is None:
            self._refuse(_lt("%(field)s is missing."), key)
        return value

    def text(self, key: str) -> str | None:
        """Text of any length, cut; a whole number is taken for its digits."""
        value = self._get(key)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value) if value.bit_length() <= _MAX_BITS else value
        if not isinstance(value, str):
            self._refuse(
                _lt("%(field)s must be text, not %(value)s."), key, value=shown(value)
            )
        return value[:TEXT_LIMIT]

    def identity(self, key: str, limit: int) -> str | None:
        """Text that names something, hence never cut: too long a one is refused."""
        value = self._get(key)
        if isinstance(value, str) and len(value) > limit:
            self._refuse(
                _lt("%(field)s is longer than %(limit)s characters."), key, limit=limit
            )
        text = self.text(key)
        if text and _NOT_PRINTED.search(text):
            self._refuse(_lt("%(field)s holds a control character."), key)
        return text

    def word(self, key: str, words: Collection[str]) -> str | None:
        """One of the given words."""
        value = self._get(key)
        if value is None:
            return None
        if not isinstance(value, str) or value not in words:
            self._refuse(
                _lt("%(field)s must be one of %(words)s, not %(value)s."),
                key,
                words=", ".join(words),
                value=shown(value),
            )
        return value

    def number(self, key: str) -> int | None:
        """A whole number from 0; digits as text are taken as well."""
        value = self._get(key)
        if value is None:
            return None
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,10}", value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        is_number = isinstance(value, int) and not isinstance(value, bool)
        if not is_number or not 0 <= value <= _MAX_INTEGER:
            self._refuse(
                _lt("%(field)s must be a whole number from 0, not %(value)s."),
                key,
                value=str(value) if is_number and value.bit_length() < 64
                else shown(value),
            )  # fmt: skip
        return value

    def moment(self, key: str) -> datetime | None:
        """Naive UTC of a time that says its offset from UTC."""
        value = self._get(key)
        if value is None:
            return None
        found = None
        if isinstance(value, (str, datetime)):
            try:
                found = parse_timestamp(value)
            except ValueError:
                found = None
        if not isinstance(found, datetime):
            self._refuse(
                _lt(
                    "%(field)s must be a time in ISO 8601 with its offset from UTC, "
                    "like 2026-03-10T12:00:00+03:00, not %(value)s."
                ),
                key,
                value=shown(value),
            )
        if found.tzinfo is None:
            self._refuse(
                _lt(
                    "%(field)s has no offset from UTC: %(value)s. Write it like "
                    "2026-03-10T12:00:00+03:00 or 2026-03-10T09:00:00Z."
                ),
                key,
                value=shown(str(value)),
            )
        return found.astimezone(timezone.utc).replace(tzinfo=None)

    def address(self, key: str) -> str | None:
        """A web address; any other would be run by the browser that opens it."""
        value = self._get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not _is_web_address(value):
            self._refuse(
                _lt(
                    "%(field)s must be an http or https address of at most %(limit)s "
                    "characters, not %(value)s."
                ),
                key,
                limit=URL_LIMIT,
                value=shown(value),
            )
        return value


def _is_web_address(text):
    if len(text) > URL_LIMIT or _NOT_IN_URL.search(text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
    except ValueError:  # a bracket without its other half
        return False
