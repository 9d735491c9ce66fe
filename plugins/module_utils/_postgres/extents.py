# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the sizes and places in a manifest can be true (private to ops.runbooks); pure.

A manifest is input from outside, and of what is encrypted no hash would tell that it was changed. So everything that is
later read from somewhere on, and so many bytes of it, is looked at once, where the manifest is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.age_reader import TAG, plain_bytes

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
        ArchiveFact,
        Manifest,
        ObjectFact,
    )


def require_possible(manifest: Manifest) -> None:
    """Raises ValueError, which says what of the manifest cannot be true."""
    if not manifest.archives:
        raise ValueError("it names no archive")
    definitions = sum(archive.role == "sections" for archive in manifest.archives)
    if len(manifest.archives) > 1 and (definitions != 1 or len(set(manifest.keys)) < len(manifest.keys)):
        count = len(manifest.archives)
        raise ValueError(f"{definitions} of its {count} archives hold the definitions, or one of them is there twice")
    for archive in manifest.archives:
        _require_segments(archive, _size(archive))
    if manifest.globals is not None:
        _size(manifest.globals)


def _size(fact: ArchiveFact | ObjectFact) -> int:
    """The bytes of an object as it was before it was encrypted."""
    if fact.bytes < 0:
        raise ValueError(f"{fact.key} has {fact.bytes} bytes")
    if fact.age is None:
        return fact.bytes
    header, held = fact.age.header_bytes, fact.age.bytes
    if header <= 0 or fact.bytes - header < TAG or plain_bytes(fact.bytes, header) != held:
        raise ValueError(f"{fact.key} has {fact.bytes} bytes, which hold no {held} behind a header of {header}")
    return held


def _require_segments(archive: ArchiveFact, size: int) -> None:
    """None, or the head and then rows, each one behind the other, to the end of the archive; and no rows twice."""
    end = 0
    for segment in archive.segments:
        if segment.offset != end or segment.bytes <= 0:
            place = f"{segment.bytes} bytes from byte {segment.offset} on"
            raise ValueError(f"a segment of {archive.key} is {place}, and the one before it ends at byte {end}")
        end += segment.bytes
    if archive.segments and end != size:
        raise ValueError(f"the segments of {archive.key} end at byte {end}, and it has {size}")
    entries = [entry for segment in archive.segments for entry in segment.entries]
    if len(set(entries)) != len(entries) or (archive.segments and archive.segments[0].entries):
        raise ValueError(f"the segments of {archive.key} name rows twice, or where there can be none")
