# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the secret of a new access key goes (private to ops.runbooks): a file of this machine, or Secrets Manager.

The pair is one JSON object. Before a key is created the place is told which keys there are: should the run be killed
before the secret has arrived, the next one knows the key that nobody has by that.
"""

from __future__ import annotations

import json
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Mapping
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
    """What was so when a key was about to be created: the user's keys, and the time by AWS's clock."""

    user: str
    known: tuple[str, ...]
    at: datetime

    def document(self) -> str:
        """For the place."""
        return json.dumps({"user": self.user, _INTENT: {"known": list(self.known), "at": iso(self.at)}}, indent=1)


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


class Place(ABC):
    """One place."""

    #: For people.
    title: str

    @abstractmethod
    def held(self) -> Held:
        """What is there. Raises ``destination_unusable`` for what is something else."""

    @abstractmethod
    def announce(self, intent: Intent) -> None:
        """A key is about to be created."""

    @abstractmethod
    def deliver(self, user: str, pair: Pair) -> None:
        """Here it is."""

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
                intent = Intent(user=found["user"], known=known, at=parse_iso(str(about.get("at"))))
                return Held(user=found["user"], intent=intent)
            if {"access_key_id", "secret_access_key"} <= set(found):
                self._protect(str(found["secret_access_key"]))
                pair = Pair(id=str(found["access_key_id"]), secret=str(found["secret_access_key"]))
                return Held(user=found["user"], pair=pair)
        raise self._unusable("what is there is not an access key that this module has put there")

    @abstractmethod
    def _protect(self, secret: str) -> None: ...

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
        self.title = f"file {path}"
        self._path = Path(path)
        self._beside = self._path.with_name(f".{self._path.name}.about-to-create")
        self._context = context

    def held(self) -> Held:
        """See :class:`Place`."""
        if not self._path.parent.is_dir() or not os.access(self._path.parent, os.W_OK):
            raise self._unusable(f"{self._path.parent} is no directory that can be written to")
        announced = self._text(self._beside)
        intent = self._read(announced).intent if announced is not None else None
        text = self._text(self._path)
        if text is None:
            return Held(intent=intent)
        found = self._read(text)
        mode = stat.S_IMODE(self._path.stat().st_mode)
        unsettled = intent is not None or bool(mode & 0o077)
        return Held(user=found.user, pair=found.pair, intent=intent, unsettled=unsettled)

    def announce(self, intent: Intent) -> None:
        """See :class:`Place`."""
        self._write(self._beside, intent.document())

    def deliver(self, user: str, pair: Pair) -> None:
        """See :class:`Place`."""
        self._write(self._path, _document(user, pair))
        self.settle()

    def settle(self) -> None:
        """See :class:`Place`."""
        self._context.effect(f"keep {self._path} to its owner")
        try:
            self._path.chmod(0o600)
            self._beside.unlink(missing_ok=True)
        except OSError as error:
            raise self._unusable(f"its rights could not be set ({error.strerror})") from error

    def _write(self, path: Path, text: str) -> None:
        """Under one name until it is whole: what a killed run leaves there is the next one's to take away."""
        self._context.effect(f"write {path}")
        new = path.with_name(f".{path.name}.new")
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

    def _protect(self, secret: str) -> None:
        self._context.redactor.protect(secret)


class SecretPlace(Place):
    """A secret of Secrets Manager. What is announced waits there as AWSPENDING, which the pair then takes over."""

    def __init__(self, name: str, secrets: SecretsManager, context: Context) -> None:
        self.title = f"secret {name}"
        self._name = name
        self._secrets = secrets
        self._context = context

    def held(self) -> Held:
        """See :class:`Place`."""
        state = self._secrets.describe(self._name)
        if state is None:
            return Held()
        if state.gone_at is not None:
            raise self._unusable("the secret is to be deleted")
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
        if self._secrets.describe(self._name) is None:
            self._secrets.create(self._name, intent.document(), token=new_token())
        else:
            self._secrets.stage(self._name, intent.document(), token=new_token())

    def deliver(self, user: str, pair: Pair) -> None:
        """See :class:`Place`."""
        state = self._secrets.describe(self._name)
        version = self._secrets.stage(self._name, _document(user, pair), token=new_token())
        self._secrets.promote(self._name, version, seen=state.holder(CURRENT) if state is not None else None)

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

    def _at(self, version: str | None) -> Held | None:
        found: Any = self._secrets.value(self._name, version) if version is not None else None
        return self._read(found.text) if found is not None else None

    def _protect(self, secret: str) -> None:
        self._context.redactor.protect(secret)
