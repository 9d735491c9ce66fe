# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one way in which modules of this collection run (private to ops.runbooks).

It owns AnsibleModule, the exception barrier, redaction, locks, the run record and the result envelope::

    changed, <noun>, plan.{steps, irreversible}, run_id, diff (where asked for)
    and on failure also: msg, failure.{code, attempted, object, remedy}
    (plan only where the module came to have one; changed tells whether the act had begun)
"""

from __future__ import annotations

import copy
import gc
import io
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import Clock
from ansible_collections.ops.runbooks.plugins.module_utils._core.controller import Controller
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import check_id, check_name, new_run_id
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor
from ansible_collections.ops.runbooks.plugins.module_utils._core.workspace import workspace


def run(operation_type: type[Operation[Any, Any]]) -> NoReturn:
    """Run one module from its arguments to its exit. Never returns and never raises anything but SystemExit."""
    _keep_quiet()
    module = _Module(operation_type)
    module.no_log_values -= operation_type.words(module.params)
    redactor = Redactor(on_protect=module.no_log_values.add)
    secrets = sorted(module.no_log_values)
    for secret in secrets:
        redactor.protect(secret)
        redactor.protect_within(secret)
    for text in _texts(module.params):
        redactor.protect_within(text)
    redactor.protect_environment(os.environ)
    outcome, warnings = _Run(operation_type, module, redactor, has_secrets=bool(secrets)).outcome()
    for warning in warnings:
        module.warn(redactor.text(warning))
    # Ansible shows parameters by itself where it is told to, and would hide only what it finds by its value.
    outcome = redactor.value({**outcome, "invocation": {"module_args": operation_type.spec.hidden(module.params)}})
    # An interpreter that ends looks through all that its libraries have loaded, for a fifth of a second.
    gc.freeze()
    if outcome.pop("failed", False):
        module.fail_json(**outcome)
    module.exit_json(**outcome)
    raise SystemExit(0)


class _Module(AnsibleModule):  # type: ignore[misc,unused-ignore] # ansible-core has no types
    """AnsibleModule whose own refusals of parameters are failures like any other."""

    def __init__(self, operation_type: type[Operation[Any, Any]]) -> None:
        self._spec = operation_type.spec
        self._given: dict[str, Any] = {}
        arguments = {"supports_check_mode": operation_type.supports_check_mode, **self._spec.to_kwargs()}
        super().__init__(**arguments)  # type: ignore[no-untyped-call,unused-ignore]

    def fail_json(self, msg: str, **result: Any) -> NoReturn:
        """Fail the task. Where there is no ``failure`` in the result it is AnsibleModule itself that refuses."""
        if "failure" not in result:
            # What is not known by its name may be a secret whose name was misspelt. Ansible would show all of it.
            shown = self._spec.hidden(self._given)
            redactor = Redactor()
            for secret in {*self.no_log_values, *(set(_texts(self._given)) - set(_texts(shown)))}:
                redactor.protect(secret)
            result["invocation"] = {"module_args": redactor.value(shown)}
            failure = RunbookError(
                code="invalid_parameter",
                attempted="read the parameters",
                object=redactor.text(", ".join([self._name, *self._spec.misfits(self._given)])),
                # Which ones there are is a list of a page; the remedy says where it stands.
                reason=redactor.text(msg).partition(". Supported parameters include:")[0],
                remedy=f"See `ansible-doc {self._name}`.",
            )
            msg, result["failure"] = failure.message, failure.as_failure()
        super().fail_json(msg, **result)
        raise SystemExit(1)

    def _load_params(self) -> None:
        """Keep what was given: what ansible cannot read is not in its parameters, but in what it says about them."""
        super()._load_params()  # type: ignore[no-untyped-call,unused-ignore]
        given = {name: value for name, value in self.params.items() if not name.startswith("_ansible_")}
        self._given = copy.deepcopy(given)

    def _log_invocation(self) -> None:
        """Say to the system's log that the module runs, and nothing of what it was given.

        Ansible's own way does so before anybody can redact it, and knows no secret again that is written otherwise in
        a list than alone, such as a key of several lines.
        """
        self.log("Invoked")  # type: ignore[no-untyped-call,unused-ignore]


def _texts(value: object) -> Iterator[str]:
    """Every text in a value, but no key."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each)


class _Run:
    """One run of one operation, and what is known about it when it fails."""

    def __init__(
        self, operation_type: type[Operation[Any, Any]], module: AnsibleModule, redactor: Redactor, *, has_secrets: bool
    ) -> None:
        self._type = operation_type
        self._module = module
        self._has_secrets = has_secrets
        self._redactor = redactor
        self._context: Context | None = None
        self._operation: Operation[Any, Any] | None = None
        self._plan: Plan | None = None
        self._acted = False

    def outcome(self) -> tuple[dict[str, Any], list[str]]:
        """Result and warnings. The exception barrier: whatever happens becomes a result in which no secret can be."""
        try:
            outcome = self._work()
        except RunbookError as error:
            outcome = self._failed(error)
        except Exception as error:  # noqa: BLE001 - this is the barrier
            outcome = self._failed(_unforeseen(error))
        if self._context is None:
            return outcome, []
        return {**outcome, "run_id": self._context.run_id}, self._context.warnings

    def _failed(self, error: RunbookError) -> dict[str, Any]:
        if error.code in ("controller_gone", "run_aborted"):
            # An ansible that stops its modules does not remove the directory in which their parameters lie.
            shutil.rmtree(self._module.tmpdir, ignore_errors=True)
        outcome: dict[str, Any] = {"failed": True, "msg": error.message, "failure": error.as_failure()}
        if self._operation is not None:
            outcome |= {"changed": self._acted, self._operation.noun: self._known()}
        if self._plan is not None:
            outcome["plan"] = self._plan.as_result()
        return outcome

    def _work(self) -> dict[str, Any]:
        self._refuse_leaks()
        with ExitStack() as stack:
            tmpdir = stack.enter_context(workspace(self._module.tmpdir))
            stack.enter_context(_stopped_by_signals())
            context = self._context = self._make_context(tmpdir)
            threading.excepthook = lambda thread: context.warn(
                f"A helper thread ended with {thread.exc_type.__name__}."
            )
            # With ansible's own directory of this task, in which its copy of the parameters lies.
            context.controller.sweep_at_end(self._module.tmpdir)
            stack.enter_context(context.controller)
            operation = self._operation = self._type(self._module.params, context)
            stack.callback(self._close, operation)
            return self._carry_out(operation, context)

    def _make_context(self, tmpdir: str) -> Context:
        params = self._module.params
        for name in ("environment", "name"):
            if params.get(name) is not None:
                check_name(params[name], name)
        clock = Clock()
        return Context(
            module=self._module._name,
            check_mode=self._module.check_mode,
            run_id=check_id(params.get("run_id") or new_run_id(clock.now()), "run_id"),
            redactor=self._redactor,
            clock=clock,
            controller=Controller.find(clock),
            tmpdir=tmpdir,
        )

    def _refuse_leaks(self) -> None:
        """Two settings make ansible itself keep or print what modules are given, ``no_log`` or not."""
        if not self._has_secrets:
            return
        for setting, on in (
            ("ANSIBLE_KEEP_REMOTE_FILES", getattr(self._module, "_keep_remote_files", False)),
            ("ANSIBLE_DEBUG", getattr(self._module, "_debug", False)),
        ):
            if on:
                raise RunbookError(
                    code="leaking_settings",
                    attempted="start the module",
                    object=setting,
                    reason="with this setting ansible keeps or prints the secrets that the module was given",
                    remedy=f"Switch {setting} off, and remove what earlier runs have left.",
                )

    def _carry_out(self, operation: Operation[Any, Any], context: Context) -> dict[str, Any]:
        """Observe and plan; then, where something is to change, do it again under the locks and act."""
        state = operation.observe()
        plan = self._plan = operation.plan(state)
        result: Mapping[str, Any] = plan.result
        if plan.changed and not context.check_mode:
            with self._locked(operation, plan, context):
                if context.leases:
                    # Between the first look and the lock another run may have done the work.
                    state = operation.observe()
                    plan = self._plan = operation.plan(state)
                    result = plan.result
                if plan.changed:
                    result = self._act(operation, state, plan, context)
        for warning in plan.warnings:
            context.warn(warning)
        changed = plan.changed and not operation.came_late
        outcome: dict[str, Any] = {"changed": changed, operation.noun: dict(result), "plan": plan.as_result()}
        if self._module._diff:
            outcome["diff"] = {"before": dict(plan.before), "after": dict(plan.after)}
        return outcome

    @contextmanager
    def _locked(self, operation: Operation[Any, Any], plan: Plan, context: Context) -> Iterator[None]:
        """Hold the locks of what the plan touches; letting go of them never hides how the work ended."""
        held = ExitStack()
        try:
            if resources := operation.resources(plan):
                from ansible_collections.ops.runbooks.plugins.module_utils._core.lease import lease_seconds
                from ansible_collections.ops.runbooks.plugins.module_utils._core.lock import acquire_all

                context.leases = acquire_all(
                    operation.state_store,
                    environment=operation.params["environment"],
                    resources=resources,
                    identity=operation.repeats(plan),
                    target=operation.params["name"],
                    context=context,
                    held=held,
                    lease_seconds=lease_seconds(operation.params.get("lock_lease")),
                )
            yield
        finally:
            context.leases = ()
            with self._tolerating("release its locks"):
                held.close()

    def _act(self, operation: Operation[Any, Any], state: Any, plan: Plan, context: Context) -> Mapping[str, Any]:
        """Act with a run record around it: created before the first change, completed whatever happens."""
        if not operation.recorded or not operation.params.get("store"):
            self._acted = True
            return operation.act(state, plan)
        from ansible_collections.ops.runbooks.plugins.module_utils._core.record import RunRecord

        record = context.record = RunRecord.create(
            operation.state_store,
            environment=operation.params["environment"],
            host=operation.params["name"],
            identity=operation.identity(plan),
            plan=plan.as_result(),
            context=context,
        )
        try:
            for lease in context.leases:
                lease.name_record(record.key)
            self._acted = True
            result = operation.act(state, plan)
        except Exception as error:
            failure = error if isinstance(error, RunbookError) else _unforeseen(error)
            record.finish("failed", {**failure.as_failure(), "message": failure.message}, self._known())
            raise
        record.finish("done", None, result)
        return result

    def _known(self) -> dict[str, Any]:
        """What the operation can say about the noun after a failure."""
        known: dict[str, Any] = {}
        if self._operation is not None:
            with self._tolerating("say more about the failure"):
                known.update(self._operation.context_of_failure())
        return known

    @contextmanager
    def _tolerating(self, what: str) -> Iterator[None]:
        """For what is done on the way out: the outcome of the work stands, and what goes wrong then is a warning."""
        try:
            yield
        except RunbookError as error:
            self._warn(error.message)
        except Exception as error:  # noqa: BLE001 - it must not take the place of the first failure
            self._warn(f"The module could not {what}: {_unforeseen(error).message}")

    def _close(self, operation: Operation[Any, Any]) -> None:
        with self._tolerating("close its connections"):
            operation.close()

    def _warn(self, text: str) -> None:
        if self._context is not None:
            self._context.warn(text)


def _unforeseen(error: Exception) -> RunbookError:
    """An exception nobody foresaw: its class and place in our code, never its text, which may hold anything."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return RunbookError(
            code="library_missing",
            attempted="load a Python library",
            object=error.name,
            reason=f"it is not installed for {sys.executable}",
            remedy="Install it there (README, requirements), or set runbooks_python to a Python that has it.",
        )
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "runbooks" in frame.filename]
    places = [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} in {frame.name}" for frame in ours]
    return RunbookError(
        code="internal_error",
        attempted="finish the module",
        object=places[-1] if places else "unknown place",
        reason=f"an unexpected {type(error).__name__} was raised",
        remedy="Nothing is known about the state of the last step; run the same command again, and report this line.",
        details={"trace": places},
    )


def _keep_quiet() -> None:
    """Nothing but the result leaves the module: libraries log requests, URLs and values, and the interpreter prints
    exceptions that nobody can catch, all of it to standard error."""
    sys.stderr = _Nowhere()


class _Nowhere(io.TextIOBase):
    """Takes everything and keeps nothing; no file, which whoever puts the old one back would leave open."""

    def write(self, text: str, /) -> int:
        """Say that all of it was written."""
        return len(text)


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """SIGTERM, SIGINT and SIGHUP unwind the module like an error, so that it cleans up and says so.

    Only the first one does: a second must not interrupt the cleaning up. One that was ignored from the beginning stays
    so, since somebody wanted that (nohup).
    """
    asked = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    names = [name for name in asked if signal.getsignal(name) != signal.SIG_IGN]

    def stop(number: int, _frame: object) -> None:
        for name in names:
            signal.signal(name, signal.SIG_IGN)
        raise RunbookError(
            code="run_aborted",
            attempted="go on",
            object=signal.Signals(number).name,
            reason="the module was told to stop",
            remedy="Run the same command again: it goes on from what the store says.",
        )

    previous = {name: signal.signal(name, stop) for name in names}
    try:
        yield
    finally:
        for name, handler in previous.items():
            signal.signal(name, handler)
