# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who knows which value is in use (private to ops.runbooks): consumers, and the service that the value is of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._rotation.consumers import ask
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import Declaration, Request
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.escrow import Opened
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.hasten import unasked
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import (
    CLEARING,
    COMPROMISE,
    DISABLING,
    GRACE,
    RETURNING,
    WATCHING,
    Ledger,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import Seen, Use, asks
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import Provider, Revivable, Vague

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context


class Witnesses:
    """They are asked where what they say decides, and not else."""

    def __init__(self, declaration: Declaration, provider: Provider, opened: Opened, context: Context) -> None:
        self._declaration = declaration
        self._provider = provider
        self._opened = opened
        self._context = context

    def ask(self, ledger: Ledger, request: Request, seen: Seen, now: datetime) -> Seen:
        """The world with what they say now."""
        seen = replace(seen, uses=(), in_use="", revived="")
        asking = asks(ledger, request, now)
        if ledger.phase == CLEARING or (ledger.phase == WATCHING and asking):
            seen = replace(seen, revived=self._revived(ledger))
        if not asking or unasked(self._declaration, ledger, request):
            return seen
        return replace(seen, in_use=self._in_use(ledger, request), uses=tuple(self._uses(ledger)))

    def _revived(self, ledger: Ledger) -> str:
        provider = self._provider
        return provider.revived(ledger.old.id) if ledger.old is not None and isinstance(provider, Revivable) else ""

    def _in_use(self, ledger: Ledger, request: Request) -> str:
        going = {GRACE: ledger.old, DISABLING: ledger.old, RETURNING: ledger.new}.get(ledger.phase)
        # After a compromise a use by nobody knows whom may be that of the one whom it is taken away from.
        vague = COMPROMISE in (ledger.reason, request.reason) and isinstance(self._provider, Vague)
        return self._provider.in_use(going.id) if going is not None and not vague else ""

    def _uses(self, ledger: Ledger) -> Iterator[Use]:
        wanted, _beside = ledger.wanted()
        if wanted is None:
            return
        other = ledger.other()
        for consumer in self._declaration.consumers:
            parts = self._opened.peek(other) if other is not None else None
            before = consumer.template.render(parts, None) if parts is not None else None
            yield ask(consumer, consumer.template.render(self._opened.parts(wanted), None), before, self._context)
