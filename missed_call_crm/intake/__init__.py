# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""From records to callbacks: the one way in, for pulled and pushed records alike.

``pull``       one phone system: lock, read, commit batch by batch, log, errors
``push``       what an integration sends: check, lock, store, answer by index
``calls``      one batch: which calls it touches, what they are now
``store``      set-based writing: COPY and one statement per batch
``resolve``    what became of the misses of the clients touched
``callbacks``  debts, activities and their end (ORM: few rows, hooks matter)
``follow_up``  what time alone changes

Nothing here defines what missed or fixed means: that is in ``telephony``.
"""
