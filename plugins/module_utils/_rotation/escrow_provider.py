# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values that their provider shows again (private to ops.runbooks): nothing is kept of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import refused
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.escrow import unreadable
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.kept import PROVIDER
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import Readable

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import Made


class Shown:
    """See ``escrow.Place``. A name is the provider's id of a value."""

    scheme = PROVIDER

    def __init__(self, provider: object, kind: str) -> None:
        self._shows: Readable | None = provider if isinstance(provider, Readable) else None
        self._kind = kind

    def reference(self, name: str) -> str:
        """The provider's id."""
        return f"{PROVIDER}:{name}"

    def check(self) -> None:
        """See ``escrow.Place``. Raises ``invalid_parameter`` for a provider that shows a value once."""
        if self._shows is None:
            reason = f"a value of {self._kind} cannot be read again there"
            raise refused("kept_in", PROVIDER, reason, "Keep it with another type, such as key.")

    def look(self) -> None:
        """See ``escrow.Place``."""

    def ready(self) -> None:
        """See ``escrow.Place``."""

    def keep(self, name: str, made: Made) -> str | None:
        """See ``escrow.Place``. It is there already."""
        return made.id

    def open(self, name: str) -> Mapping[str, str] | None:
        """See ``escrow.Place``."""
        if self._shows is None:
            reason = f"it was left with its provider, and a value of {self._kind} cannot be read again there"
            raise unreadable(self.reference(name), reason, "Declare the provider that it had.")
        return self._shows.read(name)

    def names(self) -> tuple[str, ...]:
        """See ``escrow.Place``. What is out of use is deleted there as a credential."""
        return ()

    def forget(self, name: str) -> None:
        """See ``escrow.Place``."""
