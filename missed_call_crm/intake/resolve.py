# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""What became of the misses of the clients touched, by two queries and one UPDATE.

What *fixed* means is defined in ``telephony.resolution``; here its input is fetched
and its answer stored.
"""

from datetime import datetime

from odoo import fields
from odoo.tools import SQL

from ..telephony.resolution import OWED, Contact, Contacts, Miss, resolve
from . import store
from .partners import Clients

#: Resolutions that only a person changes.
DISMISSED = "dismissed"
_COLUMNS = {
    "id": "bigint",
    "resolution": "text",
    "fixed_by": "text",
    "fix_call_id": "integer",
    "fixed_at": "timestamp",
    "fix_is_shared": "boolean",
}
_MISS_FIELDS = """
    c.id, c.client_key, c.started_at, c.deadline_at, c.resolution, c.fixed_by,
    c.fix_call_id, c.fixed_at, c.fix_is_shared
"""


class Resolver:
    """Resolves misses of one company as of one moment.

    Calls of the batch that are not in the database yet are given as ``fresh``; they
    hide what the database holds of the same calls.
    """

    def __init__(self, env, company, now, clients=None):
        self.env = env
        self.cr = env.cr
        self.company = company
        self.now = now
        self.clients = clients

    def run(self, keys, fresh=(), gone=()):
        """Resolve again everything the calls of ``keys`` may have changed.

        :param keys: client keys touched.
        :param fresh: calls of the batch (``calls.CallRow``), resolved in place.
        :param gone: ids of calls that are being deleted.
        :return: rows for calls in the database whose resolution changed.
        """
        keys = {key for key in keys if key}
        if self.clients is None:
            self.clients = Clients(self.env, self.company, keys)
        numbers = set(keys)
        for key in keys:
            numbers |= self.clients.numbers(key)
        if numbers - keys:
            # The group of a number is seen from each of its members.
            clients = Clients(self.env, self.company, numbers)
        else:
            clients = self.clients
        hidden = [row.id for row in fresh] + list(gone)
        since = min((row.started_at for row in fresh), default=None)
        misses = self._misses(sorted(numbers), hidden, since, clients)
        own = [row for row in fresh if row.is_miss]
        starts = [miss.started_at for miss, _old in misses]
        starts += [row.started_at for row in own]
        if not starts:
            return []
        contacts = self._contacts(sorted(numbers), hidden, min(starts))
        contacts += [row.contact() for row in fresh if row.is_contact]
        by_number = Contacts(contacts)
        for row in own:
            key = row.client_key
            miss = row.miss(clients.numbers(key) if key else ())
            row.set_resolution(*self._answer(miss, by_number, clients))
        return self._changes(misses, by_number, clients)

    def _misses(self, numbers, hidden, since, clients):
        """Misses in the database that a change at ``since`` or later may concern."""
        self.cr.execute(
            f"""
            SELECT {_MISS_FIELDS}
              FROM pbx_call c
             WHERE c.company_id = %(company)s
               AND c.client_key = ANY(%(numbers)s)
               AND c.resolution IN ('pending', 'unfixed', 'fixed', 'late')
               AND (%(since)s IS NULL
                    OR c.resolution IN ('pending', 'unfixed')
                    OR c.fixed_at >= %(since)s
                    OR c.fix_call_id IS NULL
                    OR c.fix_call_id = ANY(%(hidden)s))
               AND c.id <> ALL(%(hidden)s)
            """,
            {
                "company": self.company.id,
                "numbers": numbers,
                "since": since,
                "hidden": hidden,
            },
        )
        found = []
        for row in self.cr.fetchall():
            call_id, key, started_at, deadline_at = row[:4]
            miss = Miss(
                call=call_id,
                numbers=clients.numbers(key),
                started_at=started_at,
                deadline_at=deadline_at or datetime.max,
            )
            found.append((miss, row))
        return found

    def _contacts(self, numbers, hidden, since):
        self.cr.execute(
            """
            SELECT id, client_key, contact_at, direction = 'outbound', call_key
              FROM pbx_call
             WHERE company_id = %(company)s
               AND client_key = ANY(%(numbers)s)
               AND contact_at >= %(since)s
               AND not_reached IS NOT TRUE
               AND id <> ALL(%(hidden)s)
            """,
            {
                "company": self.company.id,
                "numbers": numbers,
                "since": since,
                "hidden": hidden,
            },
        )
        return [Contact(*row) for row in self.cr.fetchall()]

    def _answer(self, miss, contacts, clients):
        """``(resolution, fixed_by, fix call, fixed at, through a shared number)``."""
        answer = resolve(miss, contacts, self.now)
        contact = answer.contact
        if contact is None:
            return answer.state, None, None, None, False
        return (
            answer.state,
            answer.fixed_by,
            contact.call,
            contact.at,
            clients.is_shared(contact.number),
        )

    def _changes(self, misses, contacts, clients):
        changed = []
        for miss, row in misses:
            new = self._answer(miss, contacts, clients)
            old = (*row[4:8], bool(row[8]))
            # Pending and unfixed are one stored state: time tells which is read.
            if new != old and not (
                new[0] in OWED and row[4] in OWED and new[2] is None
            ):
                changed.append(
                    {
                        "id": miss.call,
                        "resolution": new[0],
                        "fixed_by": new[1],
                        "fix_call_id": new[2],
                        "fixed_at": new[3],
                        "fix_is_shared": new[4],
                    }
                )
        return changed


def write(cr, changes):
    """Store changed resolutions; a decision made by a person meanwhile stands."""
    store.update(
        cr,
        "pbx_call",
        _COLUMNS,
        changes,
        condition=SQL("t.resolution IS DISTINCT FROM %s", DISMISSED),
    )


def recompute(env, company, client_keys):
    """Resolve again all misses of these clients, for example after a decision.

    The caller flushes its own changes before and invalidates the cache afterwards.
    """
    changes = Resolver(env, company, fields.Datetime.now()).run(set(client_keys))
    write(env.cr, changes)
    return [change["id"] for change in changes]
