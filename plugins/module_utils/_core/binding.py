# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which server a name stands for (private to ops.runbooks).

``production/main`` is bound to a server and a database by the first write under it. A later run that reaches another
one (a mistyped variable, a laptop's environment) is refused, before it can mix two databases' backups or restore the
one over the other. ``adopt: true`` binds the name anew, for a server that was replaced on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import Document, Series
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store

#: What tells two servers' databases apart. Hosts change with every failover and are kept for people only.
_COMPARED = ("system_identifier", "project", "database")
#: Attempts against other writers of the same binding; each loser finds the winner's at the next look.
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What ``<environment>/<name>`` is bound to, and since when."""

    identity: Mapping[str, Any]
    bound_at: datetime
    number: int

    def is_to(self, identity: Mapping[str, Any]) -> bool:
        """Whether ``identity`` is the same database of the same server."""
        return all(self.identity.get(field) == identity.get(field) for field in _COMPARED)


def read(store: Store, environment: str, name: str, *, kind: str = "databases") -> Binding | None:
    """The binding of a name; None where it is not bound yet. ``kind`` is the folder: ``databases``, ``apps``."""
    found = _series(store, environment, name, kind).current()
    return _binding(found) if found else None


def check(
    store: Store, environment: str, name: str, identity: Mapping[str, Any], *, kind: str = "databases"
) -> Binding | None:
    """The binding of a name where it is to ``identity``; None where it is not bound yet.

    ``identity`` has ``system_identifier`` (or ``project``), ``database`` and ``host``. Raises
    ``store_binding_mismatch``, naming both.
    """
    binding = read(store, environment, name, kind=kind)
    if binding is not None and not binding.is_to(identity):
        raise _mismatch(binding, identity, f"{environment}/{name} in {store.url}")
    return binding


def bind(
    store: Store,
    environment: str,
    name: str,
    identity: Mapping[str, Any],
    context: Context,
    *,
    adopt: bool = False,
    kind: str = "databases",
) -> Binding:
    """Bind a name to ``identity``, unless it is; ``adopt`` replaces another binding. Raises as :func:`check`."""
    series = _series(store, environment, name, kind)
    for _attempt in range(_ATTEMPTS):
        found = series.current()
        if found is not None:
            binding = _binding(found)
            if binding.is_to(identity):
                return binding
            if not adopt:
                raise _mismatch(binding, identity, f"{environment}/{name} in {store.url}")
        context.effect(f"bind {environment}/{name} to its server")
        written = series.create_next(
            {"identity": dict(identity), "run_id": context.run_id},
            after=found.number if found else 0,
        )
        if written is not None:
            return _binding(written)
    raise RunbookError(
        code="store_failed",
        attempted="bind the name to its server",
        object=f"{environment}/{name} in {store.url}",
        reason="other runs kept binding it at the same time",
        remedy="Run the same command again when they have ended.",
    )


def _series(store: Store, environment: str, name: str, kind: str) -> Series:
    return Series(store, f"{environment}/{kind}/{name}/binding")


def _binding(document: Document) -> Binding:
    return Binding(identity=document.body.get("identity", {}), bound_at=document.modified, number=document.number)


def _mismatch(binding: Binding, identity: Mapping[str, Any], where: str) -> RunbookError:
    return RunbookError(
        code="store_binding_mismatch",
        attempted="use the name for the server that was reached",
        object=where,
        reason=f"since {iso(binding.bound_at)} it stands for {_named(binding.identity)}; "
        f"what was reached is {_named(identity)}",
        remedy="Correct the connection or the name. If the server was replaced on purpose, set adopt to true once.",
        details={"bound_to": dict(binding.identity), "reached": dict(identity)},
    )


def _named(identity: Mapping[str, Any]) -> str:
    server = identity.get("project") or identity.get("system_identifier")
    return f"database {identity.get('database')} of server {server} ({identity.get('host')})"
