# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module is made of (private to ops.runbooks): observe, plan, act, report.

A module is one :class:`Operation`. The runner (``runner.py``) is the only code that calls these methods, always in the
same order, so that check mode, diff mode and the real run share every step up to the first change.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import Clock
from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.controller import Controller
    from ansible_collections.ops.runbooks.plugins.module_utils._core.lock import Lease
    from ansible_collections.ops.runbooks.plugins.module_utils._core.record import RunRecord
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a module would do, decided by a pure function from parameters and observed state.

    ``result`` is the noun's object: as it is where nothing changes, as predicted where something would. ``steps`` and
    ``irreversible`` are sentences for a person, in the order of execution. ``before`` and ``after`` feed diff mode.
    Modules subclass this to carry what ``act`` needs.
    """

    changed: bool
    result: Mapping[str, Any]
    steps: tuple[str, ...] = ()
    irreversible: tuple[str, ...] = ()
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def as_result(self) -> dict[str, Any]:
        """The ``plan`` object of a task result."""
        return {"steps": list(self.steps), "irreversible": list(self.irreversible)}


@dataclass(slots=True, kw_only=True)
class Context:
    """What one module run has at hand. Made by the runner; tests make their own."""

    module: str
    check_mode: bool
    run_id: str
    redactor: Redactor
    clock: Clock
    controller: Controller
    tmpdir: str
    warnings: list[str] = field(default_factory=list)
    leases: tuple[Lease, ...] = ()
    record: RunRecord | None = None
    #: Requests to services so far; who reports them counts those to the store beside.
    requests: int = 0

    def effect(self, what: str) -> None:
        """Call directly before each change of the outside world; ``what`` completes "could not ...".

        Raises ``controller_gone``, ``lock_lost`` or ``run_aborted`` where the run may not go on. In check mode it
        raises ``ValueError``: an operation that reaches this line then has a mistake in it.
        """
        if self.check_mode:
            raise ValueError(f"check mode came to the point where it would {what}")
        self.controller.check(what)
        for lease in self.leases:
            lease.check(what)

    def warn(self, text: str) -> None:
        """A sentence for the user that is no failure; printed redacted."""
        if text not in self.warnings:
            self.warnings.append(text)

    def progress(self, **measurements: Any) -> None:
        """How far the work is; written to the run record at most every ten seconds. Callable from any thread."""
        if self.record is not None:
            self.record.progress(measurements)


StateT = TypeVar("StateT")
PlanT = TypeVar("PlanT", bound=Plan)


class Operation(ABC, Generic[StateT, PlanT]):
    """One module. ``params`` are AnsibleModule's, already validated against ``spec``."""

    #: The object in the result that carries the outcome: ``backup``, ``restore``, ...
    noun: ClassVar[str]
    spec: ClassVar[ArgumentSpec]
    supports_check_mode: ClassVar[bool] = True
    #: Whether a change is evidence of its own; modules that only serve a run (locks, alerts) have no record.
    recorded: ClassVar[bool] = True

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        self.params = params
        self.context = context
        #: Set by ``act`` where somebody else had done the whole work in the meantime.
        self.came_late = False

    @classmethod
    def words(cls, params: Mapping[str, Any]) -> frozenset[str]:
        """Values of secret options that are no secrets, such as ``true`` among environment variables.

        They are never shown either; but if they were looked for everywhere, as secrets are, results would fall apart.
        """
        return frozenset()

    @cached_property
    def store(self) -> Store:
        """The store that the parameters name: backups and everything that belongs to them."""
        from ansible_collections.ops.runbooks.plugins.module_utils._core.store import open_store

        return open_store(self.params, self.params["store"], self.context)

    @cached_property
    def state_store(self) -> Store:
        """Where locks and run records live: ``state_store`` where it is given, else :attr:`store`."""
        from ansible_collections.ops.runbooks.plugins.module_utils._core.store import open_store

        other = self.params.get("state_store")
        return open_store(self.params, other, self.context) if other else self.store

    @abstractmethod
    def observe(self) -> StateT:
        """Read the world. No change, no write, no lock; fails where the work could not be done later."""

    @abstractmethod
    def plan(self, state: StateT) -> PlanT:
        """Decide, by calling a pure function: same parameters and state, same plan."""

    @abstractmethod
    def act(self, state: StateT, plan: PlanT) -> Mapping[str, Any]:
        """Carry the plan out under the locks and return the noun's object. Each change is preceded by ``effect``."""

    def resources(self, plan: PlanT) -> tuple[str, ...]:
        """The resources to lock while acting, such as ``database/main``; none by default."""
        return ()

    def identity(self, plan: PlanT) -> str:
        """The identity of this change, recorded in its locks and run record."""
        return str(plan.result.get("id") or self.params.get("name") or self.noun)

    def repeats(self, plan: PlanT) -> str:
        """By what its locks know whether another run is the repetition of this one, and may take over what it has left
        when it is dead: the identity of the change."""
        return self.identity(plan)

    def context_of_failure(self) -> Mapping[str, Any]:
        """What is known about the noun when the work fails (host and database reached, ...)."""
        return {}

    def close(self) -> None:
        """Let go of connections; always called."""
