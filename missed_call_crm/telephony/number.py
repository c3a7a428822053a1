"""Telephone numbers as phone systems write them, brought to one form.

A record may hold ``89161234567``, ``+7 916 123-45-67 доб. 12``, ``"Ivan" <sip:…>``,
``anonymous``, ``201`` or ``*98``.  A client can only be recognised again when all the
ways of writing his number give one key, and must never be recognised by a guess.
Parsing and metadata are those of the ``phonenumbers`` library; what a string is
(an extension, a service code, a withheld number, two numbers) is decided here, by its
shape, before the library sees it, because the library takes ``*98`` for a number and
turns the letters of ``(work)`` into digits.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple
from urllib.parse import unquote

import phonenumbers
from phonenumbers import PhoneNumberType, ValidationResult

#: Numbers remembered per plan: about as many as call a mid-sized company in a year.
CACHE_SIZE = 65536
#: Asterisk keeps 80 characters; anything much longer is no number but an attack.
MAX_TEXT = 256
#: E.164 allows 15 digits; two more leave room for a prefix.
MAX_DIGITS = 17
#: Digits without a mark which are shorter than this are not taken for a number of a
#: country outside the plan: a seven-digit local number would become one by chance.
MIN_FOREIGN_DIGITS = 10
#: The longest subscriber number which an area code completes.
MAX_LOCAL_DIGITS = 8
#: The shortest one: four digits are an extension, whatever the area code.
MIN_LOCAL_DIGITS = 5

#: Emergency calls of mobile networks everywhere.  Other short codes (101, 110, 999)
#: are extensions in most offices; neither kind is a client, so nothing hangs on it.
EMERGENCY = frozenset({"112", "911"})

#: What phone systems put in place of a number, casefolded, without punctuation.
HIDDEN_WORDS = frozenset(
    {
        "", "s", "anonymous", "anonym", "unknown", "unknown caller", "unknown number",
        "restricted", "private", "private number", "unavailable", "not available",
        "id unavailable", "out of area", "withheld", "number withheld", "blocked",
        "caller id blocked", "hidden", "no number", "none", "null", "n a", "asterisk",
        "unbekannt", "privat", "скрыт", "скрытый номер", "номер скрыт", "неизвестно",
        "неизвестный", "неизвестный номер", "ناشناس", "مخفی",
    }
)  # fmt: skip
#: The words ANONYMOUS, UNAVAILABLE and RESTRICTED as a gateway which allows only
#: digits spells them on the telephone's letter keys.
HIDDEN_DIGITS = frozenset({"266696687", "86282452253", "7378742833"})

_EXTENSION_WORDS = (
    r"extension|extn?\.?|int\.|доб(?:авочный|\.)?|внутр?\.?|durchwahl|داخلی"
)
#: Looked for from any place to the end, not matched from the start: a pattern for the
#: number before it would try each way of splitting a long run of blanks.
_EXTENSION = re.compile(
    rf"""(?:
        (?:;\s?ext=|(?:{_EXTENSION_WORDS}|[xх])\s?[.:=]?)\s?(?P<named>\d{{1,9}})
      | [\#;,~]\s?(?P<marked>\d{{1,6}})
      | [wp](?P<paused>\d{{1,6}})
    )\s?\#?$""",
    re.IGNORECASE | re.VERBOSE,
)
_SEVERAL = re.compile(r"[;,|&/]|(?<=[\d ])(?=\+)")
_URI = re.compile(r"^(?P<scheme>sips?|tel):(?P<rest>.*)$", re.IGNORECASE | re.DOTALL)
_PHONE_CONTEXT = re.compile(r";phone-context=(\+?[^;]*)", re.IGNORECASE)
_URI_EXTENSION = re.compile(r";ext=([^;]*)", re.IGNORECASE)
_IP_ADDRESS = re.compile(r"^\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?$")
#: GSM "hide" and "show my number" and their North American forms, before a number.
_CLIR = re.compile(r"^(?:[*#]31#|\*(?:67|82))(?=\+?\d{7})")
_SERVICE = re.compile(r"^[0-9*#]*[*#][0-9*#]*$")
#: Digits, then ``#`` and an extension: a number and not a code like ``600#1``.
_EXTENSION_OF_NUMBER = re.compile(r"^\d{7,}#+\d{1,6}#?$")
#: What needs no second look (dots may be an IP address's, a slash a second number's).
_ORDINARY = re.compile(r"^\(?\+?[0-9][0-9() \-]*$")
_NUMBER_SHAPE = re.compile(r"^\(?(?:\+\s*)*[0-9().\-\s\[\]/]*$")
_NOT_DIGIT = re.compile(r"[^0-9]+")
_PUNCTUATION = re.compile(r"[\W_]+")

_NUMBER_TYPES = {
    PhoneNumberType.MOBILE: "mobile",
    PhoneNumberType.FIXED_LINE: "fixed",
    PhoneNumberType.FIXED_LINE_OR_MOBILE: "unknown",
    PhoneNumberType.UNKNOWN: "unknown",
}


class Kind:
    """What a string in a number field turned out to be."""

    EXTERNAL = "external"  #: a number of the public network
    INTERNAL = "internal"  #: an extension, queue or other short number
    SERVICE = "service"  #: a feature code (``*98``) or an emergency number
    HIDDEN = "hidden"  #: the caller withheld his number, or nothing was sent
    INVALID = "invalid"  #: none of these; kept as it came

    ALL = (EXTERNAL, INTERNAL, SERVICE, HIDDEN, INVALID)


@dataclass(frozen=True, slots=True)
class Number:
    """One normalised number; see :meth:`NumberPlan.normalise`.

    ``number_type`` is ``mobile``, ``fixed``, ``other`` (free of charge, internet,
    premium…) or ``unknown``.  In countries which do not tell mobile from fixed by the
    number (United States, Canada) it is ``unknown``: whoever calls back "mobiles only"
    should let ``unknown`` pass.
    """

    raw: str  #: as the source gave it
    kind: str  #: one of :class:`Kind`
    e164: str = ""  #: ``+79161234567``, or ``""`` where there is none
    extension: str = ""  #: dialled after the number, ``""`` if none
    number_type: str = "unknown"
    is_valid: bool = False  #: valid by the metadata, not only of a possible length
    digits: str = ""  #: the digits (for a service code also ``*#``) of the number part

    @property
    def key(self) -> str:
        """What calls of one client are matched by; ``""`` is never matched.

        The E.164 number, else exactly the digits that came.  Digits are never
        shortened to "the last nine": that would join strangers.
        """
        return self.e164 or self.digits


class _Shape(NamedTuple):
    """A number field taken apart, before anything is known about countries."""

    kind: str  # "" while it may be a number
    plus: bool = False
    digits: str = ""
    extension: str = ""


class _Reading(NamedTuple):
    """One way to understand a string of digits."""

    number: phonenumbers.PhoneNumber
    e164: str
    number_type: int
    marked: bool  # a trunk or international prefix was dialled, so it is no accident

    @property
    def is_valid(self) -> bool:
        # Same test as phonenumbers.is_valid_number, without doing the work twice.
        return self.number_type != PhoneNumberType.UNKNOWN


class NumberPlan:
    """How one phone system writes numbers.

    :param country: ISO 3166 code of the country the phone system stands in
    :param other_countries: whose national formats may appear as well, in the order
        in which they are tried
    :param dial_prefixes: digits dialled to get an outside line (``"9"``)
    :param e164_without_plus: the source is known to send E.164 without its ``+``
    :param max_extension_digits: strings of up to so many digits are extensions
    :param area_code: completes local numbers of 5 to 8 digits of ``country``

    Countries of which ``phonenumbers`` knows no numbering plan are left out: they have
    no national format, and numbers with ``+`` are understood without them.
    """

    def __init__(
        self,
        country: str,
        other_countries: Sequence[str] = (),
        dial_prefixes: Sequence[str] = (),
        e164_without_plus: bool = False,
        max_extension_digits: int = 6,
        area_code: str = "",
    ):
        wanted = [code.upper() for code in (country, *other_countries) if code]
        self.countries = tuple(
            code
            for code in dict.fromkeys(wanted)
            if code in phonenumbers.SUPPORTED_REGIONS
        )
        own = (country or "").upper()
        self.country = own if own in self.countries else ""
        self.dial_prefixes = tuple(
            sorted(filter(None, map(_only_digits, dial_prefixes)), key=len)
        )
        self.e164_without_plus = e164_without_plus
        self.max_extension_digits = max_extension_digits
        self.area_code = _only_digits(area_code or "")
        self._calling_codes = tuple(
            str(phonenumbers.country_code_for_region(code)) for code in self.countries
        )
        self._trusts_bare = _has_fixed_length(self.country)
        self._cached = lru_cache(maxsize=CACHE_SIZE)(self._normalise)

    def normalise(self, raw: str | None) -> Number:
        """Bring a number field of a record to its normal form; never raises.

        A string with ``+`` (or ``00``, or ``tel:`` with a ``phone-context``) says its
        country itself.  Only if no country can have a number of that length the plus
        was a mistake (carriers do send ``+8916…``), and rule 1 below is tried.

        Digits without a mark are an extension up to ``max_extension_digits`` (unless
        rule 2 makes them a local number), else read in this order; the first that is
        *valid* by the metadata wins:

        0. ``e164_without_plus``: as if ``+`` stood before them.  If that is of a
           possible length but not valid, only rule 1 may still win.
        1. National with what proves it, the trunk prefix (``8916…``, ``0176…``) or the
           country's own international prefix (``810…``): the country, then the others.
        2. Local, completed with ``area_code`` (5 to 8 digits).
        3. National without trunk prefix in the plan's own country, if its numbers have
           a fixed length (``4951234567`` in Russia is Moscow, not Germany's +49).
        4. ``+`` left out, of a country of the plan: the digits begin with its calling
           code (``4917604069081``).  This comes before 5, since in countries with
           numbers of any length (Germany, Austria, Italy) nearly every string is valid
           as a bare national number as well.
        5. National without trunk prefix: the country, then the others.
        6. ``00`` and 1 to 5 again after taking off each of ``dial_prefixes``.
        7. ``+`` left out, any country, from ten digits up.

        If none is valid: the first of the country and the others in which the length
        is possible, with ``is_valid`` false.  A length which the plan's country dials
        within a town only (seven digits in Russia) is never read as another country's
        bare number: it gives kind ``external`` without ``e164``.  Anything else is
        ``invalid``.
        """
        if raw is None:
            return self._cached("")
        return self._cached(raw if isinstance(raw, str) else str(raw))

    def beginnings(self, text: str) -> tuple[str, ...]:
        """What keys of numbers begin with whose written form begins with ``text``.

        ``8 800`` is the beginning of ``8800…`` and, in Russia, of ``+7800…``. A trunk
        prefix on its own says nothing and is left as it came.
        """
        digits = _only_digits(text)
        if not digits:
            return ()
        if text.lstrip().startswith("+"):
            return (f"+{digits}",)
        found = [digits]
        if len(digits) > 2 and digits.startswith("00"):
            found.insert(0, f"+{digits[2:]}")
        if self.country:
            metadata = phonenumbers.PhoneMetadata.metadata_for_region(self.country)
            trunk = metadata.national_prefix or ""
            if trunk and digits.startswith(trunk) and len(digits) > len(trunk):
                rest = digits.removeprefix(trunk)
                found.insert(0, f"+{self._calling_codes[0]}{rest}")
        return tuple(found)

    def _normalise(self, raw: str) -> Number:
        shape = _shape_of(raw)
        digits = shape.digits
        if shape.kind:
            return Number(raw, shape.kind, "", shape.extension, digits=digits)
        if not shape.plus:
            short = self._short(raw, shape)
            if short:
                return short
        if len(digits) > MAX_DIGITS:
            return Number(raw, Kind.INVALID, digits=digits)
        reading = self._read(digits, shape.plus)
        if reading:
            return _number_from(raw, shape, reading)
        kind = Kind.INVALID
        if not shape.plus and self._is_local_only(digits):
            kind = Kind.EXTERNAL
        return Number(raw, kind, "", shape.extension, digits=digits)

    def _short(self, raw: str, shape: _Shape) -> Number | None:
        """An emergency number or extension, unless the area code makes it local."""
        if shape.digits in EMERGENCY:
            return Number(raw, Kind.SERVICE, digits=shape.digits)
        if len(shape.digits) > self.max_extension_digits:
            return None
        local = self._completed(shape.digits)
        if local:
            return _number_from(raw, shape, local)
        return Number(raw, Kind.INTERNAL, "", shape.extension, digits=shape.digits)

    def _read(self, digits: str, plus: bool) -> _Reading | None:
        """The most probable reading: valid, else possible, else None."""
        if plus:
            # No calling code begins with 0: "+0079…" is "00" with a plus before it.
            return _international(digits.lstrip("0")) or self._valid_marked(digits)
        if digits.startswith("00"):
            return self._after_double_zero(digits)
        international = _parse("+" + digits) if self.e164_without_plus else None
        if international:
            if international.is_valid:
                return international
            found = self._valid_marked(digits)
            if found or _is_possible(international):
                return found or international
        return (
            self._valid_national(digits)
            or self._valid_after_dial_prefix(digits)
            or (None if self.e164_without_plus else _valid_foreign(digits))
            or self._possible(digits)
        )

    def _after_double_zero(self, digits: str) -> _Reading | None:
        """``00`` is the international prefix of most countries, not of all.

        Korea's 001 or Israel's 00 and 012 are in the metadata: they win where the
        plain rule gives no valid number.
        """
        international = _international(digits[2:])
        if international and international.is_valid:
            return international
        return self._valid_marked(digits) or international

    def _valid_marked(self, digits: str) -> _Reading | None:
        """Step 1 of :meth:`normalise`: a trunk or international prefix was dialled."""
        for country in self.countries:
            reading = _parse(digits, country)
            if reading and reading.marked and reading.is_valid:
                return reading
        return None

    def _valid_national(self, digits: str) -> _Reading | None:
        """Steps 1 to 5 of :meth:`normalise`."""
        found = self._valid_marked(digits) or self._completed(digits)
        if found:
            return found
        own = self._valid_bare(digits, self.country)
        if own and self._trusts_bare:
            return own
        if digits.startswith(self._calling_codes):
            reading = _parse("+" + digits)
            if reading and reading.is_valid:
                return reading
        if own or self._is_local_only(digits):
            return own
        others = (self._valid_bare(digits, country) for country in self.countries)
        return next(filter(None, others), None)

    def _valid_bare(self, digits: str, country: str) -> _Reading | None:
        """A valid national reading without trunk prefix."""
        reading = _parse(digits, country) if country else None
        return reading if reading and reading.is_valid else None

    def _completed(self, digits: str) -> _Reading | None:
        """A local number of the plan's own town, if the area code makes it valid."""
        if not (
            self.area_code
            and self.country
            and MIN_LOCAL_DIGITS <= len(digits) <= MAX_LOCAL_DIGITS
        ):
            return None
        reading = _parse(self.area_code + digits, self.country)
        return reading if reading and reading.is_valid else None

    def _valid_after_dial_prefix(self, digits: str) -> _Reading | None:
        """Step 6: what was dialled after the digits for an outside line."""
        for prefix in self.dial_prefixes:
            rest = digits[len(prefix) :]
            if not digits.startswith(prefix) or len(rest) < MIN_LOCAL_DIGITS:
                continue
            if rest.startswith("00"):
                reading = self._after_double_zero(rest)
            else:
                reading = self._valid_national(rest)
            if reading and reading.is_valid:
                return reading
        return None

    def _possible(self, digits: str) -> _Reading | None:
        """The first country in which such a number may exist one day."""
        if self._is_local_only(digits):
            return None
        for country in self.countries:
            reading = _parse(digits, country)
            if reading and _is_possible(reading):
                return reading
        return None

    def _is_local_only(self, digits: str) -> bool:
        """Whether the digits can be dialled inside a town of the plan's country."""
        reading = _parse(digits, self.country) if self.country else None
        return bool(reading) and (
            phonenumbers.is_possible_number_with_reason(reading.number)
            == ValidationResult.IS_POSSIBLE_LOCAL_ONLY
        )


def split_caller_id(text: str | None) -> tuple[str, str]:
    r"""Split a caller id, ``"Ivan Petrov" <+7999…>``, into name and number.

    The number is what stands in the last angle brackets outside quotes.  Asterisk does
    not escape quotes in names and SIP does (``\"``): both are understood.  Without
    brackets, text with a digit or an ``@`` is the number, anything else the name.
    Neither part is checked: both are text of a third party.
    """
    text = (text or "").strip()
    before, opened, inner = text.rpartition("<")
    number, closed, after = inner.partition(">")
    if opened and '"' not in after and (closed or '"' not in inner):
        return _unquoted(before), number.strip()
    if text.startswith('"'):
        name, _quote, rest = text[1:].rpartition('"')
        return (_unquoted(f'"{name}"'), rest.strip()) if _quote else (text[1:], "")
    if "@" in text or any(char.isdigit() for char in text):
        return "", text
    return text, ""


def repair_text(text: str) -> str:
    """Undo a double encoding of UTF-8, where the bytes prove that there was one.

    ``cdr_pgsql`` without ``encoding`` tells the database that its UTF-8 is LATIN9, and
    every ``И`` is stored as two characters; a migration may do it once more.  The text
    is repaired only if its characters, taken as bytes of LATIN9, LATIN1 or
    Windows-1252, are well-formed UTF-8 of printable characters with a letter among
    them, which does not happen to words of a language.  Else it is returned as it is.
    """
    return _repaired(text, rounds=3) or text


def _only_digits(text: str) -> str:
    """The digits of any script in ``text``, as ASCII."""
    return _NOT_DIGIT.sub("", _plain(text))


def _plain(text: str) -> str:
    """Full-width, Persian and Arabic digits as ASCII; no invisible characters.

    Direction marks and zero-width characters come along when a number is pasted.
    """
    if text.isascii():
        return text
    chars = []
    for char in unicodedata.normalize("NFKC", text):
        category = unicodedata.category(char)
        if category == "Nd":
            chars.append(str(unicodedata.decimal(char)))
        elif category == "Pd" or char == "\N{MINUS SIGN}":
            chars.append("-")
        elif category != "Cf":
            chars.append(char)
    return "".join(chars)


def _is_hidden(text: str) -> bool:
    """Whether ``text`` is a way of saying "no number" (also ``-``, ``0``, ``000``)."""
    word = _PUNCTUATION.sub(" ", text).strip().casefold()
    if not word.strip("0 "):
        return "*" not in text and "#" not in text
    return word in HIDDEN_WORDS


def _shape_of(raw: str) -> _Shape:
    """Decide from the look of a string what it can be, and take it apart."""
    if len(raw) > MAX_TEXT:
        return _Shape(Kind.INVALID)
    text = " ".join(_plain(raw).split())
    if _ORDINARY.match(text):  # most are: save the work
        return _shape_of_number(text, "")
    if "<" in text or '"' in text:
        text = split_caller_id(text)[1]
    text, extension = _without_uri(text.strip().strip("'"))
    if _is_hidden(text):
        return _Shape(Kind.HIDDEN)
    if _IP_ADDRESS.match(text):
        return _Shape(Kind.INVALID)
    text = _CLIR.sub("", text)
    if _SERVICE.match(text) and not _EXTENSION_OF_NUMBER.match(text):
        return _Shape(Kind.SERVICE, digits=text)
    text, own_extension = _without_extension(text)
    return _shape_of_number(_first_of_several(text), own_extension or extension)


def _without_uri(text: str) -> tuple[str, str]:
    """The user of a SIP or telephone address, and its ``ext`` parameter."""
    match = _URI.match(text)
    user = match["rest"] if match else text
    if "@" in user:
        user = user.partition("@")[0].partition(":")[0]  # user:password@host
    elif match and match["scheme"].lower() != "tel":
        user = user.partition(";")[0]
        if not _NUMBER_SHAPE.match(user) or _IP_ADDRESS.match(user):
            return "", ""  # sip:host names nobody
    elif not match:
        return text, ""
    user = unquote(user)
    extension = _URI_EXTENSION.search(user)
    context = _PHONE_CONTEXT.search(user)
    if match:
        # A parameter cannot be taken for a second number or an extension then.
        user = user.partition(";")[0]
    if context and context[1].startswith("+") and not user.startswith("+"):
        user = context[1] + user
    return user, _only_digits(extension[1])[:9] if extension else ""


def _without_extension(text: str) -> tuple[str, str]:
    """Split off what is dialled after the number (``доб. 12``, ``x12``, ``#12``)."""
    match = _EXTENSION.search(text)
    number = text[: match.start()].rstrip(" ;,~#wp") if match else ""
    # "101,102" is a list of two extensions and not a number with one.
    if not match or len(_only_digits(number)) < 7:
        return text, ""
    return number, match["named"] or match["marked"] or match["paused"]


def _first_of_several(text: str) -> str:
    """The first of several numbers in one field."""
    match = _SEVERAL.search(text, 1)
    if not match:
        return text
    first = text[: match.start()]
    # "030/23125018" is one number: what stands before the slash is its area code.
    if match[0] == "/" and len(_only_digits(first)) < 7:
        return text
    return first


def _shape_of_number(text: str, extension: str) -> _Shape:
    """Accept digits and the punctuation of numbers, refuse everything else."""
    digits = _NOT_DIGIT.sub("", text)
    if not _NUMBER_SHAPE.match(text):
        # Letters would become digits of the telephone's keys: better no number than a
        # wrong one.  A name with a few digits ("Office 24") identifies nobody.
        named = len(digits) < 7 and any(char.isalpha() for char in text)
        return _Shape(Kind.INVALID, digits="" if named else digits[:MAX_TEXT])
    if not digits.strip("0") or digits in HIDDEN_DIGITS:
        return _Shape(Kind.HIDDEN)
    return _Shape("", "+" in text, digits, extension)


@cache
def _has_fixed_length(country: str) -> bool:
    """Whether a digit string of the right length says something in this country.

    Russia's subscribers all have ten digits; Germany's have five to fifteen, so that
    almost any string is "valid" there.
    """
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(country or None, None)
    return metadata is not None and len(metadata.fixed_line.possible_length) <= 2


@lru_cache(maxsize=32)
def _parse(text: str, country: str | None = None) -> _Reading | None:
    """Let the library read ``text``; None where it sees no number at all.

    The few last answers are kept because the rules of one number ask more than once.
    """
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    national = phonenumbers.national_significant_number(number)
    full = f"{number.country_code}{national}"
    if len(full) > MAX_DIGITS:  # with its country it is longer than what came
        return None
    return _Reading(
        number,
        f"+{full}",
        phonenumbers.number_type(number),
        marked=country is not None and text not in (national, full),
    )


def _international(digits: str) -> _Reading | None:
    """The number behind a ``+``, if a number of that length can exist."""
    reading = _parse("+" + digits)
    return reading if reading and (reading.is_valid or _is_possible(reading)) else None


def _valid_foreign(digits: str) -> _Reading | None:
    """Step 7 of :meth:`NumberPlan.normalise`: a number which lost its plus."""
    if len(digits) < MIN_FOREIGN_DIGITS:
        return None
    reading = _parse("+" + digits)
    return reading if reading and reading.is_valid else None


def _is_possible(reading: _Reading) -> bool:
    """Whether the full number has a length that exists (not: only inside a town)."""
    return (
        phonenumbers.is_possible_number_with_reason(reading.number)
        == ValidationResult.IS_POSSIBLE
    )


def _number_from(raw: str, shape: _Shape, reading: _Reading) -> Number:
    """The external number of a reading, or an invalid one without E.164."""
    if not reading.is_valid:
        reading = _settled(reading)
        if not _is_possible(reading):
            return Number(raw, Kind.INVALID, "", shape.extension, digits=shape.digits)
    return Number(
        raw,
        Kind.EXTERNAL,
        reading.e164,
        shape.extension,
        _NUMBER_TYPES.get(reading.number_type, "other"),
        reading.is_valid,
        shape.digits,
    )


def _settled(reading: _Reading) -> _Reading:
    """Read an invalid number's E.164 form until it no longer changes.

    The library takes off what looks like a trunk prefix on each reading of a number
    that is not valid (``+7 8 8 1…``).  Each step shortens the number, so this ends.
    """
    while not reading.is_valid:
        again = _parse(reading.e164)
        if again is None or again.e164 == reading.e164:
            break
        reading = again
    return reading


def _unquoted(text: str) -> str:
    """A name without the quotes around it and the escapes inside."""
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = re.sub(r'\\(["\\])', r"\1", text[1:-1])
    return text.strip()


def _byte_table(encoding: str) -> dict[str, int]:
    """Which byte each character of an 8-bit encoding stands for.

    Bytes which Windows-1252 leaves undefined pass as control characters, as the
    databases do it.
    """
    table = {}
    for byte in range(256):
        try:
            table[bytes([byte]).decode(encoding)] = byte
        except UnicodeDecodeError:
            table[chr(byte)] = byte
    return table


_BYTE_TABLES: Sequence[dict[str, int]] = tuple(
    _byte_table(encoding) for encoding in ("iso8859-15", "latin-1", "cp1252")
)


def _decoded_again(text: str) -> Iterator[str]:
    """What UTF-8 the characters of ``text`` may be the bytes of."""
    for table in _BYTE_TABLES:
        try:
            yield bytes(table[char] for char in text).decode()
        except (KeyError, UnicodeDecodeError):
            continue


def _repaired(text: str, rounds: int) -> str:
    """The text with up to ``rounds`` encodings undone, ``""`` if there were none.

    What lies between two rounds may look odd (control characters); only the last
    round's text has to be plausible.
    """
    if not text or text.isascii() or not rounds:
        return ""
    for candidate in _decoded_again(text):
        found = _repaired(candidate, rounds - 1)
        if found:
            return found
        if _is_plausible(candidate):
            return candidate
    return ""


def _is_plausible(text: str) -> bool:
    """Non-ASCII text a person may have typed: printable, with a letter beyond ASCII."""
    beyond = [char for char in text if not char.isascii()]
    return any(char.isalpha() for char in beyond) and all(
        char.isprintable() or char.isspace() or unicodedata.category(char) == "Cf"
        for char in beyond
    )
