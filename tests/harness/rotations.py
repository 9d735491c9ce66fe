# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A secret, its consumer and its runs, in the test's own process: killed at any effect, at any time of the calendar."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ansible_collections.ops.runbooks.plugins.module_utils._core.codec import decode
from ansible_collections.ops.runbooks.plugins.module_utils._core.controller import Controller, process_table
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import Ledger
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.rotation import RotationPlan, SecretRotation
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import Keys, answer

from harness.stores import WrongClock

KEY = "kept-for-the-tests-alone-0123456789"
GITHUB = dict.fromkeys(("repository", "organization", "github_environment", "secret", "visibility"))
VERCEL = {"project": None, "team": None, "token": None, "api_url": None, "variable": None}
AWS = dict.fromkeys(("access_key", "secret_key", "session_token", "profile", "region", "endpoint_url", "kms_key_id"))
OTHERS = {**AWS, "parameter": None, "credential": None, "input": None}
OPTIONS = {
    **VERCEL,
    **GITHUB,
    **OTHERS,
    "path": None,
    "kind": "sensitive",
    "targets": ["production"],
    "git_branch": None,
}
#: Options of ``kept_in`` as ansible hands them over where only the type is given.
KEPT_IN: dict[str, Any] = {
    **AWS,
    **dict.fromkeys(("age_identity", "age_identity_file", "secret_prefix")),
    "age_recipients": [],
    "encryption_context": {},
}
CONSUMER: dict[str, Any] = {"reports": None, "value": "{value}", "samples": 1, "headers": {}, "secret_headers": None}


class Killed(BaseException):
    """The process is gone: nothing of ours catches this."""


@dataclass(slots=True, kw_only=True)
class Watched(Context):
    """A context that counts effects, and dies directly before or directly after one of them."""

    effects: list[str] = field(default_factory=list)
    die_before: int = -1
    meanwhile: dict[int, Callable[[], None]] = field(default_factory=dict)

    def effect(self, what: str) -> None:
        number = len(self.effects)
        if number == self.die_before:
            raise Killed(what)
        self.effects.append(what)
        self.meanwhile.pop(number, lambda: None)()
        # Not super(): a slotted dataclass is a new class, which zero-argument super() does not know.
        Context.effect(self, what)


def watched(*, skew: timedelta = timedelta(), check: bool = False, die_before: int = -1, run: str = "run-1") -> Watched:
    clock = WrongClock(skew=skew)
    return Watched(
        module="secret_rotation",
        check_mode=check,
        run_id=run,
        redactor=Redactor(),
        clock=clock,
        controller=Controller(None, clock=clock, table=process_table()),
        tmpdir="/nonexistent",
        die_before=die_before,
    )


def file_destination(path: Path, value: str = "{value}") -> dict[str, Any]:
    return {**OPTIONS, "name": path.name, "type": "file", "path": str(path), "value": value}


@dataclass(slots=True, kw_only=True)
class Secret:
    """One secret in a store of a directory. ``days`` is how far the calendar of its runs is ahead."""

    store: str
    destinations: list[dict[str, Any]]
    consumers: list[dict[str, Any]] = field(default_factory=list)
    provider: dict[str, Any] = field(default_factory=lambda: {"type": "generated", "length": 43, "alphabet": "url"})
    days: float = 0
    #: Options of every run beside those of :meth:`params`, such as where values are kept.
    more: dict[str, Any] = field(default_factory=dict)
    #: Every effect so far, in the words of its run.
    effects: list[str] = field(default_factory=list)
    #: What the last run has warned of.
    warnings: list[str] = field(default_factory=list)

    def params(self, **changes: Any) -> dict[str, Any]:
        given: dict[str, Any] = {
            "store": self.store,
            "state_store": None,
            "environment": "test",
            "name": "auth_secret",
            "secrets_key": KEY,
            "own_logins": [],
            "provider": self.provider,
            "destinations": self.destinations,
            "consumers": self.consumers,
            "max_age": "90d",
            "min_age": "1h",
            "grace": "7d",
            "watch": "1d",
            "sign_out_users": False,
            "reason": "scheduled",
            "rotation_id": None,
            "break_first": False,
            "adopt": False,
            "current_value": None,
            "take_back": False,
        }
        return {**given, **self.more, **changes}

    def run(
        self,
        *,
        check: bool = False,
        die_before: int = -1,
        meanwhile: dict[int, Callable[[], None]] | None = None,
        run: str = "run-1",
        **changes: Any,
    ) -> dict[str, Any]:
        """What the runner does, but for the locks: look, plan, look again, act."""
        context = watched(skew=timedelta(days=self.days), check=check, die_before=die_before, run=run)
        context.meanwhile = dict(meanwhile or {})
        operation = SecretRotation(self.params(**changes), context)
        try:
            state = operation.observe()
            plan: RotationPlan = operation.plan(state)
            result = plan.result if check or not plan.changed else operation.act(state, plan)
        finally:
            operation.close()
            self.effects += context.effects
            self.warnings = context.warnings
        told = {"steps": list(plan.steps), "irreversible": list(plan.irreversible)}
        return {**result, **told, "changed": plan.changed, "warnings": context.warnings}

    @property
    def ledger(self) -> Ledger:
        """Where it stands, as it lies in the store."""
        folder = Path(self.store.removeprefix("file://")) / "test/secrets/auth_secret/ledger"
        newest = max(folder.glob("*.json"), default=None)
        return Ledger() if newest is None else decode(Ledger, json.loads(newest.read_text(encoding="utf-8")))

    @property
    def kept(self) -> list[str]:
        """The slots that hold a value."""
        folder = Path(self.store.removeprefix("file://")) / "test/secrets/auth_secret/values"
        return sorted(path.stem for path in folder.glob("*.json"))

    def at(self, store: Path, destinations: list[dict[str, Any]]) -> Secret:
        """The same one in another place."""
        return replace(self, store=f"file://{store}", destinations=destinations, effects=[])


class App:
    """A consumer: it reads its files when it is started, and then says what it runs with to whoever asks."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: tuple[Path, ...] = ()
        self.values: tuple[str, ...] = ()
        #: What it did with the last value of each start, for telling whether anybody was left without one.
        self.starts: list[tuple[str, ...]] = []

    def start(self, *files: Path) -> None:
        """Start anew: the first file is what is used, the others are taken beside it."""
        self.files = files or self.files
        self.values = tuple(each.read_text(encoding="utf-8") for each in self.files if each.exists())
        self.starts.append(self.values)

    @property
    def as_consumer(self) -> dict[str, Any]:
        """Its entry in the declaration."""
        return {**CONSUMER, "name": "app", "url": self.url}


@contextmanager
def app() -> Iterator[App]:
    """A consumer that answers over HTTP."""
    made = App("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonce = parse_qs(urlsplit(self.path).query)["nonce"][0]
            said = {"secrets": {"auth_secret": [answer(each, nonce) for each in made.values]}}
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}/secrets"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def places(root: Path) -> tuple[Path, Path]:
    """The destinations of a secret: the value, and the one before it."""
    return root / "current", root / "previous"


def declared(root: Path) -> list[dict[str, Any]]:
    current, previous = places(root)
    return [file_destination(current), file_destination(previous, "{previous}")]


def made(root: Path, consumer: App) -> Secret:
    """A secret with its first value in use."""
    root.mkdir()
    secret = Secret(store=f"file://{root}/store", destinations=declared(root), consumers=[consumer.as_consumer])
    assert secret.run()["phase"] == "verifying"
    consumer.start(*places(root))
    assert secret.run()["phase"] == "idle"
    return secret


def texts(secret: Secret) -> list[str]:
    """What is in the destinations; '' where there is nothing."""
    paths = [Path(each["path"]) for each in secret.destinations]
    return [path.read_text(encoding="utf-8") if path.exists() else "" for path in paths]


def run_or_die(secret: Secret, die_before: int, changes: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a run said; nothing where it was killed before the effect of that number, counted over all runs."""
    spent = len(secret.effects)
    try:
        return secret.run(die_before=die_before - spent if die_before >= spent else -1, **changes)
    except Killed:
        return None


def whole(secret: Secret, consumer: App, *, die_before: int = -1, **changes: Any) -> bool:
    """A rotation from the day on which it is due to its end; whether it was killed on the way, and gone on with.

    The calendar leaps ahead where a date is waited for, and the consumer is started anew where it is.
    """
    killed = False
    for _run in range(30):
        said = run_or_die(secret, -1 if killed else die_before, changes)
        if said is None:
            killed = True
            continue
        assert live(secret, consumer), "the consumer runs with a value that nobody keeps"
        if said["phase"] == "idle" and not said["overdue"] and said["waits_for"]["what"] != "use":
            return killed
        if said["waits_for"]["what"] == "use":
            consumer.start()
        else:
            secret.days += 8
    raise AssertionError(f"it does not end: {secret.ledger}")


def to_the_end(
    secret: Secret, die_before: int = -1, *, between: Callable[[], None] = lambda: None, **changes: Any
) -> bool:
    """The same without a consumer: the calendar leaps from date to date. ``between`` is done before each run."""
    killed = False
    for _run in range(12):
        between()
        said = run_or_die(secret, -1 if killed else die_before, changes)
        if said is None:
            killed = True
            continue
        if said["phase"] == "idle" and not said["overdue"]:
            return killed
        secret.days += 8
    raise AssertionError(f"it does not end: {secret.ledger}")


def live(secret: Secret, consumer: App) -> bool:
    """Whether what the consumer uses is on record and kept: nobody may be left with a value that nobody knows."""
    on_record = [each for each in (secret.ledger.current, secret.ledger.new, secret.ledger.old) if each]
    kept = {each.fingerprint for each in on_record if each.slot in secret.kept}
    return Keys.read(KEY).fingerprint(consumer.values[0]) in kept
