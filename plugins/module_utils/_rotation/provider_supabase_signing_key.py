# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The key that a Supabase project signs tokens with, as a secret (private to ops.runbooks).

Nobody ever has its value, so that it goes nowhere: whoever verifies tokens reads the public part from the project. A
new key stands by until all of them have read it; then it signs, and what the one before has signed stays good until
it has expired; then that one is revoked, and in the end deleted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso, parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import Made, Verdict
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider_supabase_api_key import PATIENCE
from ansible_collections.ops.runbooks.plugins.module_utils._supabase.api_keys import ApiKeys
from ansible_collections.ops.runbooks.plugins.module_utils._supabase.client import Supabase, check_ref
from ansible_collections.ops.runbooks.plugins.module_utils._supabase.signing_keys import (
    IN_USE,
    PREVIOUSLY_USED,
    REVOKED,
    STANDBY,
    SigningKeys,
    tokens_good,
)

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context


class SupabaseSigningKey:
    """See ``provider.Provider``."""

    parts: ClassVar[frozenset[str]] = frozenset()
    ends_sessions: ClassVar[bool] = False

    def __init__(self, options: Mapping[str, Any], context: Context) -> None:
        self._options = options
        self._context = context
        self._opened = False
        check_ref(options.get("project_ref") or "")
        #: See ``provider.Ripening``.
        self.ripens: timedelta = parse_duration(options.get("cached_for") or "20m", "cached_for")

    def credentials(self) -> tuple[str, ...]:
        """See ``provider.Provider``. There is one in standby at most, which the next run takes."""
        return ()

    def make(self, name: str, current: str | None) -> Made:
        """See ``provider.Provider``. One that is there already, in standby, is taken: that is what it is for.

        A key has no name, so that nobody can tell one that a run which died has made from one that somebody has: it is
        named before it signs. Raises ``rotation_refused`` where somebody else has rotated.
        """
        signs = self._keys.in_use().id
        if current is not None and signs != current:
            raise self._rotated_by_hand("make a signing key", signs, current)
        found = self._keys.standing_by()
        made = self._keys.standby(self._options.get("algorithm") or "ES256")
        if found is not None:
            self._context.warn(
                f"The signing key {made.id} of {self._supabase.title} stood by already, since {iso(made.changed_at)}: "
                "a run that died has made it, or somebody by hand. There can be one only, so that it is the one that "
                "is to sign; until it does, take_back=true leaves it as it is."
            )
        return Made(id=made.id, parts={})

    def apply(self, made: Made) -> None:
        """See ``provider.Provider``. From now on it signs, unless somebody else has rotated (``rotation_refused``)."""
        key, signs = self._keys.one(made.id), self._keys.in_use().id
        if signs not in (made.id, made.beside or signs):
            raise self._rotated_by_hand(f"let the signing key {made.id} sign", signs, made.beside)
        if key is not None and key.status not in (STANDBY, IN_USE):
            raise self._keys.refused(
                f"let the signing key {made.id} sign",
                f"it is {key.status.replace('_', ' ')}: somebody has taken it out of use since it was made",
                "Give it up with take_back=true; the next rotation makes another one.",
            )
        self._keys.bring_in_use(made.id)

    def test(self, made: Made) -> Verdict:
        """See ``provider.Provider``."""
        key = self._keys.one(made.id)
        status = key.status.replace("_", " ") if key is not None else "gone"
        return Verdict(works=status == "in use", reason=f"it is {status}, and signs nothing")

    def in_use(self, credential: str) -> str:
        """See ``provider.Provider``. As long as tokens are good that it has signed, or may have."""
        key = self._keys.one(credential)
        if key is None or key.status not in (PREVIOUSLY_USED, IN_USE):
            return ""
        if key.status == IN_USE:
            return f"{credential} signs again; somebody has brought it back"
        if why := tokens_good(self._keys.good_until(key), self._context.clock.now()):
            return why
        if credential == self._keys.legacy() and ApiKeys(self._supabase, self._context).legacy_enabled():
            return (
                "the legacy keys anon and service_role are signed with it; switch them off once nothing uses either "
                "(provider supabase_api_key, or the project's dashboard)"
            )
        return ""

    def disable(self, credential: str) -> None:
        """See ``provider.Provider``. One that is gone needs no more."""
        if self._keys.one(credential) is not None:
            self._keys.revoke(credential)

    def lasts(self, credential: str) -> str:
        """See ``provider.Breaking``. The new one signs as soon as it is tried."""
        return ""

    def end(self, credential: str) -> None:
        """See ``provider.Breaking``. What it has signed ends."""
        self.disable(credential)

    def revived(self, credential: str) -> str:
        """See ``provider.Revivable``. By its status."""
        key = self._keys.one(credential)
        return "" if key is None or key.status == REVOKED else f"{credential} is {key.status.replace('_', ' ')}"

    def give_way(self, credential: str, current: str) -> None:
        """See ``provider.Displacing``. Where a run died right after the new one had begun to sign."""
        key = self._keys.one(credential)
        if key is not None and key.status == IN_USE:
            self._keys.bring_in_use(current)

    def enable(self, credential: str) -> None:
        """See ``provider.Provider``. By way of standby, for which Supabase asks a few minutes' patience."""
        self._keys.bring_in_use(credential)

    def delete(self, credential: str) -> None:
        """See ``provider.Provider``. One that has signed is revoked first, as soon as nobody is signed out by that."""
        key = self._keys.one(credential)
        if key is not None and key.status == PREVIOUSLY_USED and not self.in_use(credential):
            self._keys.revoke(credential)
        self._keys.delete(credential)

    def adopted(self, text: str, name: str) -> Made:
        """See ``provider.Provider``. The one that signs now; there is no text of it."""
        return Made(id=self._keys.in_use().id, parts={})

    def close(self) -> None:
        """See ``provider.Provider``."""
        if self._opened:
            self._supabase.close()

    def _rotated_by_hand(self, attempted: str, signs: str, current: str) -> RunbookError:
        """The failure where a key of somebody else's signs, which would stay trusted for ever."""
        return RunbookError(
            code="rotation_refused",
            attempted=attempted,
            object=f"project {self._options['project_ref']}",
            reason=f"{signs} signs, and {current} is on record: somebody has rotated by hand",
            remedy=f"Let {current} sign again in the dashboard and run the same command again; or move the "
            "secret's folder in the store away, so that the next run takes what signs on record.",
        )

    @cached_property
    def _supabase(self) -> Supabase:
        self._opened = True
        return Supabase(self._options, self._context, os.environ, patience=PATIENCE)

    @cached_property
    def _keys(self) -> SigningKeys:
        return SigningKeys(self._supabase, self._context)
