# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""Which records are one call: the connected sets over their thread ids."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from .clock import numeric_key

#: Values phone systems write where there is no call; they never join records.
NO_THREAD = frozenset({"", "NONE", "REALTIME", "MANAGER", "CLI", "0", "-1", "null"})


class Threads:
    """Disjoint sets of thread ids (union-find with path halving).

    Adding the same pairs in any order gives the same sets.
    """

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def add(self, threads: Iterable[str]) -> str | None:
        """Join all ``threads``; return the set's present representative."""
        root = None
        for thread in threads:
            found = self.find(thread)
            if root is None:
                root = found
            elif found != root:
                self._parent[found] = root
        return root

    def find(self, thread: str) -> str:
        """Representative of the set of ``thread`` (which is added if new)."""
        parent = self._parent
        node = parent.setdefault(thread, thread)
        while node != parent[node]:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    def all(self) -> list[str]:
        """Every thread id that was added."""
        return list(self._parent)

    def groups(self) -> dict[str, list[str]]:
        """All sets: representative → members."""
        found: dict[str, list[str]] = {}
        for thread in self._parent:
            found.setdefault(self.find(thread), []).append(thread)
        return found


def call_key(threads: Iterable[str]) -> str:
    """Key of a call: its oldest thread id, by epoch and sequence, not by text."""
    return min(threads, key=numeric_key)


def group(items: Iterable[tuple[Hashable, tuple[str, ...]]]) -> dict[str, list]:
    """Group ``(item, thread ids)`` into calls: call key → items.

    Items without a thread belong to no call and are left out.
    """
    threads = Threads()
    placed = []
    for item, ids in items:
        if ids:
            threads.add(ids)
            placed.append((item, ids[0]))
    keys = {root: call_key(members) for root, members in threads.groups().items()}
    calls: dict[str, list] = {}
    for item, first in placed:
        calls.setdefault(keys[threads.find(first)], []).append(item)
    return calls
