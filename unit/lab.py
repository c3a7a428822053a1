"""The laboratory's calls: records of a real Asterisk, with the truth beside them.

``missed_call_crm/tests/lab`` holds the record tables as Asterisk wrote them and, per
call, what the phones saw (``expected.jsonl``), judged by ``settings.json``.
"""

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from missed_call_crm.providers.asterisk_channel import DialPlan
from missed_call_crm.telephony.call import Rules
from missed_call_crm.telephony.clock import PbxClock, epoch_of
from missed_call_crm.telephony.grouping import NO_THREAD, group
from missed_call_crm.telephony.number import NumberPlan

FOLDER = Path(__file__).resolve().parent.parent / "missed_call_crm" / "tests" / "lab"
KINDS = ("cel", "cdr", "queue_log")
#: Column that holds the time of a record, and those that join it to its call.
_COLUMNS = {
    "cdr": ("calldate", ("uniqueid", "linkedid")),
    "cel": ("eventtime", ("uniqueid", "linkedid")),
    "queue_log": ("time", ("callid",)),
}
#: Events of the queue log that belong to the roster, not to a call.
ROSTER = frozenset({"QUEUESTART", "ADDMEMBER", "REMOVEMEMBER", "PAUSE", "UNPAUSE"})


@dataclass(frozen=True)
class Record:
    """A record as the assembly takes it, with the ids that join it to its call."""

    kind: str
    occurred_at: datetime
    payload: dict
    threads: tuple[str, ...]


@lru_cache
def settings() -> dict:
    """The settings by which the truth was judged."""
    return json.loads((FOLDER / "settings.json").read_text(encoding="utf-8"))


@lru_cache
def expected() -> dict[str, dict]:
    """What must come out: key of the call → its line of ``expected.jsonl``."""
    lines = (FOLDER / "expected.jsonl").read_text(encoding="utf-8").splitlines()
    return {found["linkedid"]: found for found in map(json.loads, lines)}


def rules() -> Rules:
    found = settings()
    return Rules(
        short_seconds=found["short_seconds"],
        min_talk_seconds=found["min_talk_seconds"],
    )


def plan() -> DialPlan:
    """The dial plan's names with nothing set by an administrator."""
    return DialPlan()


@lru_cache
def numbers() -> NumberPlan:
    found = settings()
    return NumberPlan(found["country"], tuple(found["other_countries"]))


@lru_cache
def records(kind: str) -> tuple[Record, ...]:
    """All records of one kind, in the order of the table."""
    clock = PbxClock(settings()["tz"])
    when, threads = _COLUMNS[kind]
    found = []
    with (FOLDER / f"{kind}.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            payload = {name: value for name, value in row.items() if value}
            ids = tuple(payload[name] for name in threads if name in payload)
            if payload.get("event") in ROSTER or NO_THREAD.intersection(ids):
                ids = ()
            whole, _, fraction = row[when].partition(".")
            local = datetime.fromisoformat(whole)
            if fraction:
                local = local.replace(microsecond=int(fraction.ljust(6, "0")))
            epoch = epoch_of(ids[0]) if ids else None
            found.append(Record(kind, clock.to_utc(local, epoch), payload, ids))
    return tuple(found)


def calls(kinds: Iterable[str] = KINDS) -> dict[str, list[Record]]:
    """Key of the call → its records of these kinds."""
    return group((record, record.threads) for kind in kinds for record in records(kind))
