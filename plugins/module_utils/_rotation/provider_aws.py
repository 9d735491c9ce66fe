# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An access key of a user of AWS IAM (private to ops.runbooks).

A user has two keys at most, those that are switched off included, and a key has no name. What was there before a
rotation began is nobody's to touch. A key that a killed run has made and lost the secret of is told by not having been
there, by having been made since, and by nobody ever having used it: its secret is nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._aws.access_keys import (
    LAG,
    MOST,
    AccessKey,
    AccessKeys,
    Pair,
    limit_reached,
    own_credential,
)
from ansible_collections.ops.runbooks.plugins.module_utils._aws.access_keys_plan import KEY_ID, USER
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human, iso, parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.aws import connection, reach
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import refused
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import Made, Verdict

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context


#: Looks at a key that seems to be active again, and seconds between them: AWS may show for a while what was before.
_LOOKS, _PAUSE = 3, 0.5
#: By how much AWS's clock may be behind this machine's. A clock that is further off deletes no key.
_APART = timedelta(seconds=5)


class AwsAccessKeyProvider:
    """See ``provider.Provider``."""

    parts: ClassVar[frozenset[str]] = frozenset({"access_key_id", "secret_access_key"})
    ends_sessions: ClassVar[bool] = False
    vague: ClassVar[bool] = True

    def __init__(self, options: Mapping[str, Any], context: Context) -> None:
        user = str(options["user"] or "")
        if not USER.fullmatch(user):
            reason = "an access key is a user's of IAM, whose name has letters, digits and _+=,.@-, 64 at most"
            raise refused("provider", "user", reason, "Say with user whose key it is; it is the name, and not the ARN.")
        given = connection(options, "provider", "aws_access_key")
        self._keys = AccessKeys(reach(given, context, {}), user)
        self._context = context
        self._unused_for = parse_duration(options["unused_for"], "unused_for")
        self._patience = parse_duration(options["timeout"], "timeout").total_seconds()

    def credentials(self) -> tuple[str, ...]:
        """See ``provider.Provider``. Raises ``own_credential`` where this run works with one of them."""
        found = tuple(each.id for each in self._keys.list())
        own = next((id for id in found if id in self._keys.own), None)
        if own is not None or self._keys.who().user == self._keys.user:
            raise own_credential(own or "a session", self._keys.user, "rotate")
        return found

    def standing(self) -> str:
        """See ``provider.Occupied``. A user whose key is rotated has no other one that works.

        Raises ``own_credential``.
        """
        self.credentials()
        found = [each.id for each in self._keys.list() if each.active]
        named = f"access key{'s' if len(found) > 1 else ''} {' and '.join(found)}"
        return f"the user {self._keys.user} has the {named} already" if found else ""

    def require_room(self) -> None:
        """See ``provider.Limited``. Raises ``access_key_limit``, ``own_credential``."""
        self.credentials()
        keys = self._keys.list()
        if len(keys) >= MOST:
            raise limit_reached(self._keys.user, keys)

    def make(self, name: str, current: str | None) -> Made:
        """See ``provider.Provider``. Raises ``access_key_limit``, which names the keys that there are."""
        pair = self._keys.create()
        return Made(id=pair.id, parts={"access_key_id": pair.id, "secret_access_key": pair.secret})

    def apply(self, made: Made) -> None:
        """See ``provider.Provider``. AWS knows it."""

    def test(self, made: Made) -> Verdict:
        """See ``provider.Provider``. A new key is not known everywhere at once, and is asked for until it is."""
        self._keys.test(_pair(made), patience=0 if made.known else self._patience)
        return Verdict(works=True)

    def in_use(self, credential: str) -> str:
        """See ``provider.Provider``. By its last use, of which AWS tells hours late, unless it is switched off."""
        key = self._find(credential)
        use = self._keys.last_use(credential) if key is not None and key.active else None
        if key is None or use is None:
            return ""
        last = use.at or key.created_at
        if self._keys.now() - last >= self._unused_for + timedelta(seconds=LAG):
            return ""
        what = f"was used at {iso(last)} (for {use.service})" if use.at is not None else f"was made at {iso(last)}"
        return f"{credential} {what}, and AWS tells of a use up to {human(LAG)} late"

    def disable(self, credential: str) -> None:
        """See ``provider.Provider``. One that somebody has deleted is out of use."""
        if self._find(credential) is not None:
            self._keys.activate(credential, active=False)

    def lasts(self, credential: str) -> str:
        """See ``provider.Breaking``."""
        return ""

    def end(self, credential: str) -> None:
        """See ``provider.Breaking``. AWS deactivates what is in use."""
        self.disable(credential)

    def revived(self, credential: str) -> str:
        """See ``provider.Revivable``. By its status, and by what AWS tells of its last use."""
        for look in range(_LOOKS):
            if look:
                self._context.clock.sleep(_PAUSE)
            key = self._find(credential)
            if key is None or not key.active:
                return ""
        use = self._keys.last_use(credential)
        used = f", and was used last at {iso(use.at)} (for {use.service})" if use is not None and use.at else ""
        return f"{credential} of {self._keys.user} is active again{used}"

    def enable(self, credential: str) -> None:
        """See ``provider.Provider``. Raises ``access_key_missing`` where it was deleted."""
        if self._find(credential) is None:
            raise RunbookError(
                code="access_key_missing",
                attempted="bring an access key back",
                object=f"{credential} of {self._keys.user}",
                reason="it was deleted",
                remedy="Go on with the new one: leave take_back out.",
            )
        self._keys.activate(credential, active=True)

    def delete(self, credential: str) -> None:
        """See ``provider.Provider``."""
        self._keys.delete(credential)

    def sweep(self, credential: str, since: datetime) -> None:
        """See ``provider.Careful``. What is older, switched off, or was ever used, is somebody's."""
        key = self._find(credential)
        use = self._keys.last_use(credential) if key is not None else None
        if key is None or not key.active or use is None or use.at is not None or key.created_at < since - _APART:
            return
        self._context.warn(
            f"The access key {credential} of {self._keys.user} was made at {iso(key.created_at)}, after the rotation "
            "had begun, and nobody has ever used it: a run that died has lost its secret. It is deleted."
        )
        self._keys.delete(credential)

    def adopted(self, text: str, name: str) -> Made:
        """See ``provider.Provider``. It has to be the user's, and to work."""
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        parts = found if isinstance(found, dict) else {}
        id, secret = parts.get("access_key_id"), parts.get("secret_access_key")
        if not isinstance(id, str) or not isinstance(secret, str) or not KEY_ID.fullmatch(id) or not secret:
            raise _no_key("it is no JSON object with access_key_id and secret_access_key")
        self._context.redactor.protect(secret)
        key = self._find(id)
        if key is None or not key.active:
            raise _no_key(f"the user {self._keys.user} has no active key {id}")
        made = Made(id=id, parts={"access_key_id": id, "secret_access_key": secret})
        self._keys.test(_pair(made), patience=0)
        return made

    def close(self) -> None:
        """See ``provider.Provider``. Nothing is open."""

    def _find(self, credential: str) -> AccessKey | None:
        return next((each for each in self._keys.list() if each.id == credential), None)


def _pair(made: Made) -> Pair:
    return Pair(id=made.id, secret=made.parts["secret_access_key"])


def _no_key(reason: str) -> RunbookError:
    return refused("current_value", "current_value", reason, "Give the pair that the app has, as JSON.")
