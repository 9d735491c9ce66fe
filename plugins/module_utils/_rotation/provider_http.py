# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A credential of any service with an HTTP API (private to ops.runbooks), by requests that a user declares.

The service makes the value and shows it once. Each credential gets a name that begins with the secret's own, by which
one is found again that a killed run has made; what has another name is never looked at. Of an answer nothing is shown
but its status: it may have a value in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Api, Reply, check_address
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import refused
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.http_requests import (
    KEY_NAME,
    Declared,
    Filled,
    at,
    check_id,
    read_parts,
    text_at,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import Made, Verdict

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: Seconds for which the service may be out of reach, and between questions whether a new value works.
_OUTAGE, _PAUSE, _LONGEST_PAUSE = 10.0, 0.5, 8.0
#: Characters from which on a part is no word that may be in an id by chance.
_SHORTEST = 8
_FIELDS: Mapping[str, frozenset[str]] = {
    "create": frozenset({"name"}),
    "list": frozenset(),
    "disable": frozenset({"id"}),
    "enable": frozenset({"id"}),
    "delete": frozenset({"id"}),
}


class HttpProvider:
    """See ``provider.Provider``."""

    ends_sessions: ClassVar[bool] = False

    def __init__(self, options: Mapping[str, Any], context: Context) -> None:
        given = {name: each for name, each in (options["requests"] or {}).items() if each is not None}
        _check(options, given)
        self._url = check_address(str(options["url"]), "the url of provider http")
        self._create = given["create"]
        self._list = given.get("list")
        self._parts = read_parts(self._create["parts"], self._create["id"])
        self.parts = frozenset(self._parts)
        fields = {**_FIELDS, "test": self.parts | {"id"}}
        self._declared = {name: Declared.read(name, each, fields[name]) for name, each in given.items()}
        if self._list is not None and not self._declared["create"].named:
            reason = "list finds what create has made by its name, and create does not give one"
            raise refused("provider", "requests.create", reason, "Put {name} into its body.")
        self._named = f"{options['key_name']}."
        self._context = context
        self._headers = {str(name): str(text) for name, text in (options["headers"] or {}).items()}
        self._secret = {str(name): str(text) for name, text in (options["secret_headers"] or {}).items()}
        for text in self._secret.values():
            context.redactor.protect(text)
            context.redactor.protect(text.rpartition(" ")[2])
        self._patience = parse_duration(options["timeout"], "timeout").total_seconds()
        self._api: Api | None = None
        self._looks = 0

    def credentials(self) -> tuple[str, ...]:
        """See ``provider.Provider``. Those whose names begin with the secret's own."""
        self._looks += 1
        found = self._listed()
        if any(not id for name, id in found if name.startswith(self._named)):
            raise self._failed("list", "an item has no id where it should be")
        return tuple(id for name, id in found if name.startswith(self._named))

    def make(self, name: str, current: str | None) -> Made:
        """See ``provider.Provider``. Sent once: the list tells whether one was carried out whose answer is lost."""
        if self._list is None and self._looks < 2:
            # A run that begins a rotation has asked twice by now; this one goes on with what another has begun.
            self._context.warn(
                "The run before this one died while it made a value. Without a request `list` nobody can tell whether "
                f"the service has made one: look there for a credential whose name begins with {self._named}"
            )
        self._name_others(current)
        named = f"{self._named}{name}"
        reply = self._change("create", {"name": named})
        parts = {part: text_at(reply.body, path) for part, path in self._parts.items()}
        for text in parts.values():
            self._context.redactor.protect(text)
        then = "The next run removes it." if self._list is not None else f"Delete {named} at the service."
        left = f"A credential was made all the same, whose value nobody has. {then}"
        id = text_at(reply.body, self._create["id"])
        if lacking := [path for path in (self._create["id"], *self._parts.values()) if not text_at(reply.body, path)]:
            raise self._failed("create", f"its answer has no text at {lacking[0]}", f"Correct id and parts. {left}")
        secret = [parts[part] for part, path in self._parts.items() if path != self._create["id"]]
        if not check_id(id) or any(text in id for text in secret if len(text) >= _SHORTEST):
            reason = (
                f"what stands at {self._create['id']} is no id: it is written down and shown, and stands in addresses"
            )
            raise self._failed("create", reason, f"Name another field with id. {left}")
        return Made(id=id, parts=parts)

    def _name_others(self, current: str | None) -> None:
        """What has a name of ours and was there before the rotation began is nobody's to delete, and is told of."""
        for name, id in self._listed() if "delete" in self._declared else []:
            if name.startswith(self._named) and id != current:
                self._context.warn(
                    f"The credential {name} at {self._url} was made by a rotation of this secret, and is none that "
                    "counts. See that nobody uses it, then delete it there."
                )

    def apply(self, made: Made) -> None:
        """See ``provider.Provider``. The service knows it."""

    def test(self, made: Made) -> Verdict:
        """See ``provider.Provider``. By the value alone, until it is taken twice in a row, or not in time.

        What the list does not show could neither be found after a run that died nor be seen to be gone.
        """
        declared, answered = self._declared["test"], 0
        filled = declared.filled({**made.parts, "id": made.id})
        api = self._open(self._headers)

        def taken() -> bool:
            nonlocal answered
            answered = _sent(api, filled).status
            return answered in declared.statuses

        try:
            if not self._comes_true(taken, 2, waiting=not made.known):
                return Verdict(works=False, reason=f"the request test was answered {answered}")
        finally:
            api.close()
        if not self._comes_true(lambda: self._is_there(made.id), 1):
            return Verdict(works=False, reason=f"requests.list has no {made.id}; correct its path, items or id")
        return Verdict(works=True)

    def in_use(self, credential: str) -> str:
        """See ``provider.Provider``. Nobody can tell."""
        return ""

    def disable(self, credential: str) -> None:
        """See ``provider.Provider``; where no request is declared it works until it is deleted.

        One that somebody has deleted, such as right after a leak, is out of use.
        """
        if "disable" in self._declared and self._is_there(credential):
            self._change("disable", {"id": credential})

    def lasts(self, credential: str) -> str:
        """See ``provider.Breaking``."""
        return (
            ""
            if "disable" in self._declared
            else "its service knows no request to disable it, but to delete it for good"
        )

    def end(self, credential: str) -> None:
        """See ``provider.Breaking``."""
        self.disable(credential)

    def enable(self, credential: str) -> None:
        """See ``provider.Provider``."""
        if "enable" in self._declared:
            self._change("enable", {"id": credential})

    def delete(self, credential: str) -> None:
        """See ``provider.Provider``; where no request is declared it stays disabled."""
        if "delete" not in self._declared:
            self.disable(credential)
        elif self._is_there(credential):
            self._change("delete", {"id": credential})

    def adopted(self, text: str, name: str) -> Made:
        """See ``provider.Provider``."""
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        given = found if isinstance(found, dict) else {}
        parts = {part: text_at(given, part) for part in self._parts}
        id = text_at(given, "id")
        if not check_id(id) or not all(parts.values()):
            reason = f"it is no JSON object with id, {', '.join(sorted(self._parts))}"
            raise refused("current_value", "current_value", reason, "Give what the service has made, as JSON.")
        if not self._is_there(id):
            reason = f"requests.list has no {id}, so that it would count as gone when it is to be taken away"
            raise refused("current_value", "current_value", reason, "Give the id that the service has for it.")
        return Made(id=id, parts=parts)

    def close(self) -> None:
        """Let go of connections."""
        if self._api is not None:
            self._api.close()

    def _listed(self) -> list[tuple[str, str]]:
        """Name and id of everything that is there; nothing where no list is declared."""
        if self._list is None:
            return []
        reply = self._ask("list", {})
        items = at(reply.body, self._list["items"])
        if not isinstance(items, list):
            raise self._failed("list", f"its answer has no list at {self._list['items'] or 'its top'}")
        if 'rel="next"' in reply.headers.get("link", "") or at(reply.body, self._list["more"] or "\0"):
            raise self._failed("list", "its answer is one page of several", "Let its path ask for all of them at once.")
        return [(text_at(each, self._list["name"]), text_at(each, self._list["id"])) for each in items]

    def _is_there(self, credential: str) -> bool:
        """As far as anybody can tell: without a list all are."""
        return self._list is None or credential in [id for _name, id in self._listed()]

    def _comes_true(self, good: Callable[[], bool], times: int, *, waiting: bool = True) -> bool:
        """Whether it is so as often in a row, before the time is over that a new value may take."""
        clock, pause, found = self._context.clock, _PAUSE, 0
        end = clock.monotonic() + (self._patience if waiting else 0)
        while True:
            found = found + 1 if good() else 0
            if found == times:
                return True
            if not found and clock.monotonic() + pause > end:
                return False
            if not found:
                clock.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _change(self, what: str, fields: Mapping[str, str]) -> Reply:
        self._context.effect(f"send the request {what} to {self._url}")
        return self._ask(what, fields)

    def _ask(self, what: str, fields: Mapping[str, str]) -> Reply:
        """One declared request. Raises ``service_denied``, ``service_failed``, ``service_unreachable``."""
        declared = self._declared[what]
        filled = declared.filled(fields)
        if self._api is None:
            self._api = self._open({**self._headers, **self._secret})
        self._api.wait_until(self._patience)
        reply = _sent(self._api, filled)
        if reply.status in declared.statuses | declared.gone:
            return reply
        if reply.status in (401, 403):
            raise RunbookError(
                code="service_denied",
                attempted=f"send the request {what}",
                object=self._url,
                reason=f"it was answered {reply.status}",
                remedy="Look at secret_headers, and at what its credential may do.",
            )
        raise self._failed(what, f"it was answered {reply.status}, and {_listed(declared)} means that it was done")

    def _open(self, headers: Mapping[str, str]) -> Api:
        return Api(
            service=self._url,
            url=self._url,
            headers=headers,
            patience=self._patience,
            persistence=_OUTAGE,
            context=self._context,
        )

    def _failed(
        self, what: str, reason: str, remedy: str = "Look at how it is declared, and at the service."
    ) -> RunbookError:
        return RunbookError(
            code="service_failed", attempted=f"send the request {what}", object=self._url, reason=reason, remedy=remedy
        )


def _sent(api: Api, filled: Filled) -> Reply:
    if filled.method == "GET":
        return api.read(filled.path, {}, filled.headers)
    return api.send(filled.method, filled.path, {}, filled.body, filled.headers)


def _listed(declared: Declared) -> str:
    return " or ".join(str(each) for each in sorted(declared.statuses))


def _check(options: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raises ``invalid_parameter`` for what could not be rotated safely."""
    if not options["url"]:
        raise refused("provider", "url", "a service is known by its address", "Give its address, with https://.")
    for name in ("create", "test"):
        if name not in given:
            raise refused("provider", "requests", f"there is no request {name}", "Declare it.")
    if not {"disable", "delete"} & set(given):
        reason = "there is neither disable nor delete, so that an earlier value would work for ever"
        raise refused("provider", "requests", reason, "Declare one of them, or both.")
    if ("disable" in given) != ("enable" in given):
        reason = "disable and enable go together: what cannot be taken back is done last, as delete"
        raise refused("provider", "requests", reason, "Declare both; what is final is delete.")
    if "list" not in given and "delete" in given and not given["delete"].get("gone"):
        reason = "a run that died may have deleted one, and without list only gone tells when that is done"
        raise refused("provider", "requests.delete", reason, "Declare list, or say with gone what is answered then.")
    if not KEY_NAME.fullmatch(str(options["key_name"] or "")):
        reason = "the credentials of this secret need a name of their own, of letters, digits, - and _, 64 at most"
        raise refused("provider", "key_name", reason, "Give one that no other secret at the service has.")
