# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Phone systems: each module gets records from one kind, or makes calls of them.

Pure Python; what the modules give is described in ``base``.
"""
