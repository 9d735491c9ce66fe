# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is remembered of secrets that nobody can read back (private to ops.runbooks).

One document of the store for each scope: names, keyed digests of values, and GitHub's own time of the last change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import Series
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._github.secrets_plan import Mark

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store
    from ansible_collections.ops.runbooks.plugins.module_utils._github.secrets_model import Scope

#: Tries of one who writes while others do.
_TRIES = 5


class Marks:
    """The marks of one scope."""

    def __init__(self, store: Store, environment: str, scope: Scope) -> None:
        self._series = Series(store, f"{environment}/github/{name_of(scope)}/secrets", keep=5)
        self._scope = scope

    def read(self) -> dict[str, Mark]:
        """By the secrets' names."""
        document = self._series.current()
        return _marks(document.body) if document is not None else {}

    def change(self, written: Mapping[str, Mark], gone: frozenset[str], effect: Callable[[str], None]) -> None:
        """Remember some and forget others. Raises ``store_failed``."""
        attempted = f"remember the secrets of {self._scope.title}"
        for _try in range(_TRIES):
            document = self._series.current()
            before = _marks(document.body) if document is not None else {}
            kept = {name: mark for name, mark in before.items() if name not in gone} | dict(written)
            if kept == before:
                return
            body: dict[str, Any] = {
                "scope": self._scope.title,
                "secrets": {
                    name: {"fingerprint": mark.fingerprint, "updated_at": mark.updated_at}
                    for name, mark in sorted(kept.items())
                },
            }
            effect(attempted)
            if self._series.create_next(body, after=document.number if document is not None else 0) is not None:
                return
        raise RunbookError(
            code="store_failed",
            attempted=attempted,
            object=self._series.where,
            reason="other writers were faster every time",
            remedy="Run the same command again: what it cannot tell it writes once more.",
        )


def name_of(scope: Scope) -> str:
    """What a scope is called in a store, however its letters are written.

    An environment's name at GitHub may hold anything; the digest keeps different ones apart.
    """
    path = scope.path.lower()
    slug = re.sub(r"[^a-z0-9.-]+", "-", path.strip("/"))[:80].strip("-.")
    return f"{slug}.{sha256(path.encode()).hexdigest()[:12]}"


def _marks(body: Mapping[str, Any]) -> dict[str, Mark]:
    found = body.get("secrets")
    return {
        str(name): Mark(fingerprint=str(each.get("fingerprint")), updated_at=str(each.get("updated_at")))
        for name, each in (found.items() if isinstance(found, Mapping) else ())
        if isinstance(each, Mapping)
    }
