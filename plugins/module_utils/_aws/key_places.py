# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the secret of a new access key goes (private to ops.runbooks): a file of this machine, or Secrets Manager.

The pair is one JSON object. Before a key is created the place is told which keys there are: should the run be killed
before the secret has arrived, the next one knows the key that nobody has by that. Of two runs at once the one that
announced last goes on; the other's pair is refused, and it takes its key back.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._aws.access_keys import Pair
from ansible_collections.ops.runbooks.plugins.module_utils._aws.secrets_manager import (
    CURRENT,
    PENDING,
    SecretsManager,
    new_token,
)
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso, parse_iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

_INTENT = "about_to_create"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What was so when a key was about to be created: the user's keys, and the time by AWS's clock. ``id`` is the run's
    own."""

    user: str
    known: tuple[str, ...]
    at: datetime
    id: str = ""

    def document(self) -> str:
        """For the place."""
        about = {"known": list(self.known), "at": iso(self.at), "id": self.id}
        return json.dumps({"user": self.user, _INTENT: about}, indent=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a place holds: a pair and whose it is, an intent, or nothing.

    ``unsettled`` is what an earlier run has left there to do: an announcement, a pair that is not current, a file that
    others may read.
    """

    user: str = ""
    pair: Pair | None = None
    intent: Intent | None = None
    unsettled: bool = False


class Taken(RunbookError):
    """Another run has announced a key of its own in the place; the pair that was to go there is nowhere."""

    __slots__ = ()


class Place(ABC):
    """One place."""

    #: For people.
    title: str

    def __init__(self, context: Context) -> None:
        self._context = context

    @abstractmethod
    def held(self) -> Held:
        """What is there. Raises ``destination_unusable`` for what is something else. What follows is done only where
        it is still so."""

    @abstractmethod
    def announce(self, intent: Intent) -> None:
        """A key is about to be created. Raises ``secret_conflict`` where another run works on the place."""

    @abstractmethod
    def deliver(self, user: str, pair: Pair) -> None:
        """Here it is. Raises :class:`Taken` where another run has announced one since."""

    @abstractmethod
    def settle(self) -> None:
        """Let the pair be all that is there: current, for its owner only, and nothing announced."""

    def _read(self, text: str | None) -> Held:
        """What a document says; protected where it is a pair."""
        try:
            found = json.loads(text or "")
        except ValueError:
            found = None
        if isinstance(found, Mapping) and isinstance(found.get("user"), str):
            about = found.get(_INTENT)
            if isinstance(about, Mapping):
                known = tuple(str(each) for each in about.get("known", ()))
                at, id = parse_iso(str(about.get("at"))), str(about.get("id", ""))
                intent = Intent(user=found["user"], known=known, at=at, id=id)
                return Held(user=found["user"], intent=intent)
            if {"access_key_id", "secret_access_key"} <= set(found):
                self._context.redactor.protect(str(found["secret_access_key"]))
                pair = Pair(id=str(found["access_key_id"]), secret=str(found["secret_access_key"]))
                return Held(user=found["user"], pair=pair)
        raise self._unusable("what is there is not an access key that this module has put there")

    def _taken(self) -> Taken:
        return Taken(
            code="secret_conflict",
            attempted="keep an access key",
            object=self.title,
            reason="another run has written there in the meantime",
            remedy="See what it made; then run the same command again.",
        )

    def _unusable(self, reason: str) -> RunbookError:
        return RunbookError(
            code="destination_unusable",
            attempted="keep an access key",
            object=self.title,
            reason=reason,
            remedy="Name another place, or move what is there away.",
        )


def _document(user: str, pair: Pair) -> str:
    return json.dumps({"user": user, "access_key_id": pair.id, "secret_access_key": pair.secret}, indent=1)


class FilePlace(Place):
    """A file that only its owner reads; it appears whole or not at all. What is announced lies beside it."""

    def __init__(self, path: str, context: Context) -> None:
        super().__init__(context)
        self.title = f"file {path}"
        self._path = Path(path)
        self._beside = self._path.with_name(f".{self._path.name}.about-to-create")
        #: What was seen: the announcement, and the pair.
        self._seen = ("", "")

    def held(self) -> Held:
        """See :class:`Place`."""
        if not self._path.parent.is_dir() or not os.access(self._path.parent, os.W_OK):
            raise self._unusable(f"{self._path.parent} is no directory that can be written to")
        with self._alone():
            found = self._there()
            self._seen = _names(found)
        return found

    def announce(self, intent: Intent) -> None:
        """See :class:`Place`."""
        with self._alone():
            if _names(self._there()) != self._seen:
                raise self._taken()
            self._write(self._beside, intent.document())
            self._seen = (intent.id, self._seen[1])

    def deliver(self, user: str, pair: Pair) -> None:
        """See :class:`Place`."""
        with self._alone():
            if _names(self._there()) != self._seen:
                raise self._taken()
            self._write(self._path, _document(user, pair))
            self._settle()

    def settle(self) -> None:
        """See :class:`Place`."""
        with self._alone():
            if _names(self._there()) != self._seen:
                raise self._taken()
            self._settle()

    def _there(self) -> Held:
        announced = self._text(self._beside)
        intent = self._read(announced).intent if announced is not None else None
        text = self._text(self._path)
        if text is None:
            return Held(intent=intent)
        found = self._read(text)
        open_to_others = bool(stat.S_IMODE(self._path.stat().st_mode) & 0o077)
        unsettled = intent is not None or open_to_others or any(each.exists() for each in self._torn)
        return Held(user=found.user, pair=found.pair, intent=intent, unsettled=unsettled)

    @property
    def _torn(self) -> tuple[Path, ...]:
        """What a run that is killed while it writes leaves; a secret may be in it."""
        return (_unfinished(self._path), _unfinished(self._beside))

    def _settle(self) -> None:
        self._context.effect(f"keep {self._path} to its owner")
        try:
            self._path.chmod(0o600)
            for each in (self._beside, *self._torn):
                each.unlink(missing_ok=True)
        except OSError as error:
            raise self._unusable(f"its rights could not be set ({error.strerror})") from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other run writes there meanwhile. The kernel ends it with the process."""
        try:
            directory = os.open(self._path.parent, os.O_RDONLY)
        except OSError as error:
            raise self._unusable(f"{self._path.parent} cannot be opened ({error.strerror})") from error
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
        except OSError as error:
            os.close(directory)
            raise self._unusable(f"{self._path.parent} cannot be locked ({error.strerror})") from error
        try:
            yield
        finally:
            os.close(directory)

    def _write(self, path: Path, text: str) -> None:
        """Under one name until it is whole: what a killed run leaves there is the next one's to take away."""
        self._context.effect(f"write {path}")
        new = _unfinished(path)
        try:
            new.unlink(missing_ok=True)
            file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with open(file, "w", encoding="utf-8") as stream:
                    stream.write(f"{text}\n")
                    stream.flush()
                    os.fsync(stream.fileno())
                os.replace(new, path)
            finally:
                new.unlink(missing_ok=True)
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise self._unusable(f"it could not be written ({error.strerror})") from error

    def _text(self, path: Path) -> str | None:
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise self._unusable(f"it cannot be read ({type(error).__name__})") from error


def _names(held: Held) -> tuple[str, str]:
    """What tells whether somebody else has written: the announcement (an older release gave it no id) and the pair."""
    intent = (held.intent.id or iso(held.intent.at)) if held.intent is not None else ""
    return (intent, held.pair.id if held.pair is not None else "")


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


class SecretPlace(Place):
    """A secret of Secrets Manager. What is announced waits there as AWSPENDING, which the pair then takes over."""

    def __init__(self, name: str, secrets: SecretsManager, context: Context) -> None:
        super().__init__(context)
        self.title = f"secret {name}"
        self._name = name
        self._secrets = secrets
        #: The versions that were seen to be current and to wait; None where there was no secret.
        self._seen: tuple[str | None, str | None] | None = None

    def held(self) -> Held:
        """See :class:`Place`."""
        state = self._secrets.describe(self._name)
        if state is None:
            return Held()
        if state.gone_at is not None:
            raise self._unusable("the secret is to be deleted")
        self._seen = (state.holder(CURRENT), state.holder(PENDING))
        current, pending = self._at(state.holder(CURRENT)), self._at(state.pending)
        shown = next((each for each in (pending, current) if each is not None and each.pair is not None), Held())
        return Held(
            user=shown.user,
            pair=shown.pair,
            intent=next((each.intent for each in (pending, current) if each is not None and each.intent), None),
            unsettled=state.holder(PENDING) is not None,
        )

    def announce(self, intent: Intent) -> None:
        """See :class:`Place`."""
        if self._seen is None:
            self._seen = (self._secrets.create(self._name, intent.document(), token=intent.id), None)
            return
        current, pending = self._seen
        version = self._secrets.stage(self._name, intent.document(), token=intent.id, seen=pending)
        self._seen = (current, version)
        state = self._secrets.describe(self._name)
        if state is None or state.holder(CURRENT) != current:
            # It was seen before another run had begun, which has ended by now.
            self._secrets.settle(self._name, version)
            raise self._taken()

    def deliver(self, user: str, pair: Pair) -> None:
        """See :class:`Place`."""
        current, pending = self._seen or (None, None)
        state = self._secrets.describe(self._name)
        if state is None or state.holder(CURRENT) != current:
            # Another run has come to its end meanwhile.
            raise self._taken()
        try:
            version = self._secrets.stage(self._name, _document(user, pair), token=new_token(), seen=pending)
        except RunbookError as error:
            if error.code != "secret_conflict":
                raise
            raise self._taken() from error
        try:
            self._secrets.promote(self._name, version, seen=current)
        except RunbookError as error:
            if error.code != "secret_conflict":
                raise
            self._withdraw(version)
            raise self._taken() from error

    def settle(self) -> None:
        """See :class:`Place`."""
        state = self._secrets.describe(self._name)
        holder = state.holder(PENDING) if state is not None else None
        if state is None or holder is None:
            return
        pending = self._at(state.pending)
        if pending is not None and pending.pair is not None:
            self._secrets.promote(self._name, holder, seen=state.holder(CURRENT))
        else:
            self._secrets.settle(self._name, holder)

    def _withdraw(self, version: str) -> None:
        """A pair that came too late may not wait there to take the other's place in the next run."""
        try:
            self._secrets.settle(self._name, version)
        except RunbookError as error:
            if error.code != "secret_conflict":
                raise

    def _at(self, version: str | None) -> Held | None:
        found: Any = self._secrets.value(self._name, version) if version is not None else None
        return self._read(found.text) if found is not None else None
