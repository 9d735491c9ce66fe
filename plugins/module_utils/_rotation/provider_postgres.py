# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The password of a database (private to ops.runbooks): two login roles that take turns.

A value is a role of the pair with a password of its own. The other role keeps its password until nobody is logged in
with it any more; then it loses its login, which comes back by one statement, and in the end its password.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote, urlsplit

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import pooler as poolers
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import (
    CONNECTION_SPEC,
    Connector,
    connector,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Endpoint
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.model import Names, Pooler
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.turns import RolePair
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import refused
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import Made, Verdict

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: How long a statement waits for the locks of others.
_PATIENCE = timedelta(seconds=2)
#: Random bytes of a password; as a text it needs no encoding anywhere.
_BYTES = 24


class PostgresRolePair:
    """See ``provider.Provider``."""

    parts: ClassVar[frozenset[str]] = frozenset({"user", "password", "host", "port", "database"})
    ends_sessions: ClassVar[bool] = False

    def __init__(self, options: Mapping[str, Any], context: Context) -> None:
        if not options["group"]:
            raise refused("provider", "group", "a pair of roles is known by its group", "Say with group which it is.")
        self._options = options
        self._context = context
        self._names = Names.read(options["group"], options["roles"], options["old_role"])
        self._connector: Connector | None = None

    def credentials(self) -> tuple[str, ...]:
        """See ``provider.Provider``. A role whose password nobody knows is given another one."""
        return ()

    def make(self, name: str, current: str | None) -> Made:
        """See ``provider.Provider``. It is the turn of the role that is not in use."""
        first, second = self._names.pair
        role = second if current == first else first
        endpoint = self._endpoint
        parts = {
            "user": role,
            "password": secrets.token_urlsafe(_BYTES),
            "host": endpoint.host,
            "port": str(endpoint.port),
            "database": endpoint.database,
        }
        return Made(id=role, parts=parts)

    def apply(self, made: Made) -> None:
        """See ``provider.Provider``. Raises ``role_in_use`` where somebody is logged in as the role."""
        self._pair.apply(made.id, made.parts["password"])

    def test(self, made: Made) -> Verdict:
        """See ``provider.Provider``. Directly, through the pooler, and at its own address; raises what says why not."""
        self._pair.test(made.id, made.parts["password"])
        host, port, database = made.parts["host"], int(made.parts["port"]), made.parts["database"]
        if (host, port, database) != (self._endpoint.host, self._endpoint.port, self._endpoint.database):
            self._pair.logins.test_at(made.id, made.parts["password"], host=host, port=port, database=database)
        return Verdict(works=True)

    def in_use(self, credential: str) -> str:
        """See ``provider.Provider``. By the sessions that there are."""
        return ", ".join(f"session {each.label}" for each in self._pair.unused(credential).by)

    def disable(self, credential: str) -> None:
        """See ``provider.Provider``. Raises ``role_in_use`` where somebody has logged in since."""
        self._pair.disable(credential)

    def lasts(self, credential: str) -> str:
        """See ``provider.Breaking``."""
        return ""

    def end(self, credential: str) -> None:
        """See ``provider.Breaking``. With the sessions that there are."""
        self._pair.disable(credential, force_after=0)

    def revived(self, credential: str) -> str:
        """See ``provider.Revivable``. By its login."""
        role = next((each for each in self._pair.list() if each.id == credential), None)
        if role is None or not role.enabled:
            return ""
        return f"{credential} may log in again{f', and {role.sessions} sessions do' if role.sessions else ''}"

    def enable(self, credential: str) -> None:
        """See ``provider.Provider``."""
        self._pair.enable(credential)

    def delete(self, credential: str) -> None:
        """See ``provider.Provider``. The role stays for its next turn, without a password."""
        self._pair.disable(credential)
        self._pair.delete(credential)

    def adopted(self, text: str, name: str) -> Made:
        """See ``provider.Provider``. From a URL, of a role of the pair or of the one from before it."""
        try:
            url = urlsplit(text)
            port = str(url.port or 5432)
        except ValueError:
            raise _no_url("it is not a URL") from None
        user, password = unquote(url.username or ""), unquote(url.password or "")
        if not user or not password or not url.hostname:
            raise _no_url("it has no user, no password or no host")
        if user not in self._names.logins:
            raise _no_url(f"its user is none of {', '.join(self._names.logins)}")
        database = unquote(url.path.removeprefix("/"))
        parts = {"user": user, "password": password, "host": url.hostname, "port": port, "database": database}
        return Made(id=user, parts=parts)

    def close(self) -> None:
        """End the session."""
        if self._connector is not None:
            self._connector.close()

    @property
    def _endpoint(self) -> Endpoint:
        """The server that was reached, which apps reach by the same address."""
        if self._pair is None or self._connector is None:
            raise ValueError("nothing was reached")
        return self._connector.endpoint

    @cached_property
    def _pair(self) -> RolePair:
        """The pair, on a session that is prepared for work; connects at the first use."""
        given = dict.fromkeys(CONNECTION_SPEC.options)
        url = self._options["database_url"]
        params = {**given, "database_url": url, "connection_fallback": url is None}
        self._connector = connector(params, self._context)
        session = self._connector.open()
        poolers.require_session(self._connector, session)
        session.prepare_for_work(_PATIENCE)
        watch = parse_duration(self._options["session_watch"], "session_watch").total_seconds()
        return RolePair(
            self._connector, session, self._context, self._names, pooler=_pooler(self._options["pooler"]), watch=watch
        )


def _pooler(given: Mapping[str, Any] | None) -> Pooler | None:
    if given is None:
        return None
    return Pooler(host=given["host"], port=given["port"], database=given["database"], user_suffix=given["user_suffix"])


def _no_url(reason: str) -> Exception:
    return refused("current_value", "current_value", reason, "Give the URL with which the app reaches the database.")
