# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module secret_retired_info (private to ops.runbooks): what may not serve again, since its secrets are gone.

All ledgers of the environment are read, whatever the inventory declares: what it declares no longer has been rotated
all the same. Vercel is asked only where an earlier value of anything was taken away.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import STORE_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.ledger import read_ledgers
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.retired import Span, may_have_retired, spans
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.client import VERCEL_SPEC, Vercel

#: Seconds that Vercel has.
_PATIENCE = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """What is outdated, of how many secrets on record; ``hidden`` are variables that this token does not see."""

    spans: tuple[Span, ...]
    secrets: tuple[str, ...]
    hidden: int = 0


class SecretRetiredInfo(Operation[Retired, Plan]):
    """Read the ledgers for one project."""

    noun: ClassVar[str] = "retired"
    spec: ClassVar[ArgumentSpec] = STORE_SPEC.merge(VERCEL_SPEC)

    def observe(self) -> Retired:
        """Ledgers; and the project's variables where any of them may matter."""
        ledgers = read_ledgers(self.state_store, self.params["environment"])
        if not any(may_have_retired(each) for each in ledgers.values()):
            return Retired(spans=(), secrets=tuple(ledgers))
        vercel = Vercel(self.params, self.context, os.environ, patience=_PATIENCE)
        try:
            variables, hidden = vercel.variables(vercel.project())
        finally:
            vercel.close()
        records = {each.id for each in variables if "production" in each.targets}
        found = [span for name, ledger in ledgers.items() for span in spans(name, ledger, records)]
        return Retired(spans=tuple(found), secrets=tuple(ledgers), hidden=hidden)

    def plan(self, state: Retired) -> Plan:
        """The answer; there is nothing to change."""
        hidden = (
            f"{state.hidden} environment variables of production cannot be seen with this token. Whether a build holds "
            "a retired value of one of these, nobody can tell.",
        )
        return Plan(
            changed=False,
            result={"builds": [each.describe() for each in state.spans], "secrets": list(state.secrets)},
            warnings=hidden if state.hidden else (),
        )

    def act(self, state: Retired, plan: Plan) -> Mapping[str, Any]:
        """Never called: nothing is ever planned."""
        raise ValueError("an information module has nothing to carry out")
