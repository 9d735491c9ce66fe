# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A secret of GitHub Actions as the place of a secret (private to ops.runbooks).

Nobody can read it back. What was written is known again by the time of its last change, which GitHub shows. A workflow
takes the value that is there when it starts, so that a change is in force at once.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._github.client import connect
from ansible_collections.ops.runbooks.plugins.module_utils._github.secrets_api import Secrets, require_sealing
from ansible_collections.ops.runbooks.plugins.module_utils._github.secrets_model import (
    Scope,
    SecretRecord,
    check_secret_name,
)
from ansible_collections.ops.runbooks.plugins.module_utils._github.secrets_plan import changed_after
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import Target, refused
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import Sight
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import Keys

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: Seconds that GitHub may take for one question or change, and for which it may be out of reach.
_PATIENCE, _OUTAGE = 60.0, 10.0
#: Looks at what was written, and seconds between them: a list may be older than the last request.
_LOOKS, _PAUSE = 5, 0.5
#: By how much a change may be dated before the answer to the request that made it.
_TOLERANCE = timedelta(seconds=5)
_API = "https://api.github.com"


class GithubDestination:
    """See ``destination.Destination``. ``looks`` is shared by those that are opened together."""

    def __init__(self, target: Target, keys: Keys, context: Context, looks: dict[tuple[str, ...], Any]) -> None:
        options = target.options
        if bool(options["repository"]) == bool(options["organization"]):
            reason = "one of type github_secret is of a repository or of an organization"
            raise refused("destinations", target.name, reason, "Give repository or organization, and not both.")
        if options["organization"] and not options["visibility"]:
            reason = "a secret of an organization needs visibility"
            raise refused("destinations", target.name, reason, "Say with visibility whose workflows get it.")
        check_secret_name(options["secret"])
        self._name = str(options["secret"]).upper()
        self._visibility = options["visibility"] or "" if options["organization"] else ""
        self._context = context
        self._looks = looks
        self._params = {
            **{each: options.get(each) for each in ("token", "repository", "organization", "github_environment")},
            "api_url": options.get("api_url") or _API,
        }
        self._scope = Scope.read(self._params)

    def observe(self) -> Sight:
        """By one list of the scope's secrets."""
        place = ("github", *(str(each) for each in self._params.values()))
        if place not in self._looks:
            secrets = self._open()
            try:
                self._looks[place] = secrets.listed()
            finally:
                secrets.close()
        return _sight(self._looks[place].get(self._name))

    def read(self) -> str | None:
        """See ``destination.Destination``. Nobody can."""
        return None

    def write(self, text: str) -> Sight:
        """See ``destination.Destination``; and look until the list knows of it."""
        require_sealing()
        secrets = self._open()
        self._looks.clear()
        try:
            since = None
            if text:
                since = secrets.write(self._name, text, visibility=self._visibility)
            else:
                secrets.delete(self._name)
            for look in range(_LOOKS):
                if look:
                    secrets.sleep(_PAUSE)
                record = secrets.listed().get(self._name)
                if bool(text) == (record is not None) and (
                    record is None or since is None or parse_iso(record.updated_at) >= since - _TOLERANCE
                ):
                    if record is not None and since is not None and changed_after(record, since):
                        raise self._differs("somebody else has changed it right after it was written")
                    return _sight(record)
        finally:
            secrets.close()
        raise self._differs("GitHub took the request, and does not list what it asked for")

    def _differs(self, reason: str) -> RunbookError:
        return RunbookError(
            code="secrets_differ",
            attempted="write a secret",
            object=f"{self._name} of {self._scope.title}",
            reason=reason,
            remedy="Run the same command again.",
        )

    def _open(self) -> Secrets:
        api, token = connect(self._params, self._context, os.environ, patience=_PATIENCE, persistence=_OUTAGE)
        return Secrets(api, self._scope, self._context, token=token)


def _sight(record: SecretRecord | None) -> Sight:
    return Sight(exists=record is not None, mark=record.updated_at if record is not None else "")
