# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file as the place of a secret (private to ops.runbooks): whole, for its owner alone, or not there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.private_file import PrivateFile
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import Target, refused
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import Sight
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import Keys

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context


class FileDestination:
    """See ``destination.Destination``."""

    def __init__(self, target: Target, keys: Keys, context: Context, looks: dict[tuple[str, ...], Any]) -> None:
        path = Path(target.options["path"])
        self._keys = keys
        if not path.is_absolute():
            raise refused("destinations", target.name, "its path is not absolute", "Write it from / on.")
        self._file = PrivateFile(path, context.redactor)

    def observe(self) -> Sight:
        """A keyed fingerprint of the content, and the rights: both have to be as they were written."""
        found = self._file.read()
        if found is None:
            return Sight(exists=False)
        text, mode = found
        return Sight(exists=True, mark=f"{self._keys.fingerprint(text)}:{mode:o}")

    def read(self) -> str | None:
        """See ``destination.Destination``; one newline at the end is an editor's."""
        found = self._file.read()
        return None if found is None else found[0].removesuffix("\n")

    def write(self, text: str) -> Sight:
        """See ``destination.Destination``."""
        self._file.write(text)
        return self.observe()
