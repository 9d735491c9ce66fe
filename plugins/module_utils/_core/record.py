# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The evidence of a run (private to ops.runbooks): who did what, when, with which plan and which result.

A changing module creates ``<environment>/runs/<run_id>/<host>/<n>.json`` with its plan before the first change, keeps
its measurements current while it works, and completes it at the end. A record that stays ``running`` belongs to a run
that was killed; the next run that takes its lock closes it as ``interrupted``.
"""

from __future__ import annotations

import json
import os
import pwd
import threading
from collections.abc import Mapping
from socket import gethostname
from typing import TYPE_CHECKING, Any, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store

SCHEMA = 1
Status = Literal["running", "done", "failed", "interrupted"]

#: Seconds between two writes of progress.
_EVERY = 10.0
#: What the record says of the launch where the environment has it: AWX sets the first three, plays pass the next ones
#: on from AWX's extra variables, GitHub Actions sets the rest.
_LAUNCH = {
    "JOB_ID": "awx_job_id",
    "AWX_HOST": "awx_host",
    "PROJECT_REVISION": "project_revision",
    "AWX_USER_NAME": "awx_user_name",
    "AWX_JOB_LAUNCH_TYPE": "awx_launch_type",
    "AWX_JOB_TEMPLATE_NAME": "awx_job_template",
    "GITHUB_REPOSITORY": "github_repository",
    "GITHUB_RUN_ID": "github_run_id",
    "GITHUB_ACTOR": "github_actor",
    "GITHUB_EVENT_NAME": "github_event",
    "GITHUB_SHA": "github_sha",
}


def who(environ: Mapping[str, str]) -> dict[str, str]:
    """Who launched this run, from where: login user and host, and what the launcher's environment says."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        # OpenShift runs containers under user ids that have no name.
        user = str(os.getuid())
    if environ.get("SUDO_USER"):
        user = f"{environ['SUDO_USER']} as {user}"
    launch = {field: environ[name] for name, field in _LAUNCH.items() if environ.get(name)}
    return {"user": user, "host": gethostname(), **launch}


class RunRecord:
    """The record of the module that runs now."""

    def __init__(self, store: Store, key: str, body: dict[str, Any], context: Context) -> None:
        self.key = key
        self._store = store
        self._body = body
        self._context = context
        self._lock = threading.Lock()
        self._fresh = threading.Event()
        self._finished = threading.Event()
        self._writer = threading.Thread(target=self._write_progress, name="record", daemon=True)
        self._writer.start()

    @classmethod
    def create(
        cls,
        store: Store,
        *,
        environment: str,
        host: str,
        identity: str,
        plan: Mapping[str, Any],
        context: Context,
    ) -> RunRecord:
        """Write the record of what is about to be done. Raises what the store raises: no evidence, no change."""
        body = {
            "schema": SCHEMA,
            "run_id": context.run_id,
            "environment": environment,
            "host": host,
            "module": context.module,
            "identity": identity,
            "who": who(os.environ),
            "started": iso(context.clock.now()),
            "plan": dict(plan),
            "status": "running",
            "measurements": {},
        }
        prefix = f"{environment}/runs/{context.run_id}/{host}/"
        number = 1 + max((_number(stored.key) for stored in store.list(prefix)), default=0)
        while True:
            key = f"{prefix}{number:06d}.json"
            context.effect(f"write the run record {key}")
            if store.create(key, _encode(context.redactor.value(body))):
                return cls(store, key, body, context)
            number += 1

    def progress(self, measurements: Mapping[str, Any]) -> None:
        """How far the work is. Returns at once, from any thread; written every ten seconds by a thread of its own."""
        with self._lock:
            self._body["measurements"].update(measurements)
        self._fresh.set()

    def finish(self, status: Status, failure: Mapping[str, Any] | None, result: Mapping[str, Any]) -> None:
        """Complete the record. Never raises, since the work's own outcome counts: what went wrong is a warning."""
        self._finished.set()
        self._fresh.set()
        try:
            self._writer.join()
            self._complete(status, failure, result)
        except (RunbookError, OSError, TypeError, ValueError) as error:
            reason = error.message if isinstance(error, RunbookError) else type(error).__name__
            self._context.warn(f"The run record {self.key} could not be completed: {reason}")

    def _complete(self, status: Status, failure: Mapping[str, Any] | None, result: Mapping[str, Any]) -> None:
        with self._lock:
            self._body |= {"status": status, "ended": iso(self._context.clock.now()), "result": dict(result)}
            if failure is not None:
                self._body["failure"] = dict(failure)
                # Whoever took the lock over has closed this record already; what he wrote stays readable.
                theirs = _decode(self._store.get(self.key)) or {}
                self._body |= {key: theirs[key] for key in ("interrupted_by", "interrupted_at") if key in theirs}
            self._store.put(self.key, _encode(self._context.redactor.value(self._body)))

    def _write_progress(self) -> None:
        while not self._finished.wait(_EVERY):
            self._fresh.wait()
            if self._finished.is_set():
                return
            self._fresh.clear()
            with self._lock:
                self._body["progress_at"] = iso(self._context.clock.now())
                body = _encode(self._context.redactor.value(self._body))
            try:
                self._context.effect("write the progress of the run")
                self._store.put(self.key, body)
            except RunbookError as error:
                self._context.warn(f"The progress of the run could not be written to {self.key}: {error.message}")


def close_interrupted(store: Store, key: str, by_run_id: str) -> bool:
    """Close the record of a run that was killed; whether it was still open. The caller has called ``effect``.

    For whoever has taken that run's lock over, or knows that nobody holds it.
    """
    body = _decode(store.get(key))
    if body is None or body.get("status") != "running":
        return False
    moment = iso(store.now(may_write=True))
    body |= {"status": "interrupted", "interrupted_by": by_run_id, "interrupted_at": moment}
    store.put(key, _encode(body))
    return True


def read_record(store: Store, key: str) -> dict[str, Any] | None:
    """A record as it is in the store; None where there is none that can be read."""
    return _decode(store.get(key))


def _number(key: str) -> int:
    stem = key.rpartition("/")[2].removesuffix(".json")
    return int(stem) if stem.isascii() and stem.isdigit() else 0


def _encode(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, indent=1, ensure_ascii=False, default=str).encode("utf-8", "replace")


def _decode(body: bytes | None) -> dict[str, Any] | None:
    """A record's content; None for what no release wrote, which is nobody's evidence."""
    try:
        document = json.loads(body) if body is not None else None
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
