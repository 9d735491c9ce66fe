# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backups of one database in the store: listing them, choosing one, their manifests (private to ops.runbooks).

A backup is complete when its manifest exists. The index beside it is a set of empty keys which say the little that
lists need, so that a thousand backups cost one request; it is a cache: whoever chooses a backup reads its manifest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import ID
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import scope, verdict
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    KINDS,
    BackupEntry,
    Manifest,
    Selection,
)

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store

#: What may be said of a backup by a further index key. A backup has as many keys as it has marks, and one more.
MARKS = ("proven", "suspect", "held")
#: Where the newest backup is looked for first, since S3 lists only forwards in time.
_RECENT = timedelta(days=35)
#: Nobody can ask for an earlier moment.
_FIRST = datetime.min.replace(tzinfo=UTC)
_MOMENT = "%Y%m%dT%H%M%S%fZ"
#: The options of postgres_backup that make a selection, in the order of ``scope.selection``.
_LISTS = ("schemas", "tables", "exclude_tables", "exclude_table_data")
_HASH = re.compile(r"^[0-9a-f]{12}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A backup as the index knows it: one entry, however many keys it has. What its marks mean, ``verdict`` tells."""

    entry: BackupEntry
    marks: frozenset[str] = frozenset()


def encode_entry(entry: BackupEntry) -> str:
    """The last part of an index key: sorts by snapshot time, fields parted by dots, which none of them contains."""
    moment = entry.snapshot_at.astimezone(UTC).strftime(_MOMENT)
    fields = [moment, entry.backup_id, entry.kind, str(entry.bytes), entry.selection_hash]
    return ".".join([*fields, entry.mark] if entry.mark else fields)


def decode_entry(text: str) -> BackupEntry | None:
    """The inverse of :func:`encode_entry`; None for a key that is not one of ours, which lists pass over."""
    fields = text.split(".")
    if len(fields) == 5:
        fields.append("")
    if len(fields) != 6:
        return None
    moment, backup_id, kind, size, selection_hash, mark = fields
    try:
        snapshot_at = datetime.strptime(moment, _MOMENT).replace(tzinfo=UTC)
    except ValueError:
        return None
    numbers = size.isascii() and size.isdigit() and _HASH.fullmatch(selection_hash)
    if not (numbers and ID.fullmatch(backup_id) and kind in KINDS and mark in ("", *MARKS)):
        return None
    return BackupEntry(
        backup_id=backup_id,
        snapshot_at=snapshot_at,
        kind=kind,
        bytes=int(size),
        selection_hash=selection_hash,
        mark=mark,
    )


def entry_of(manifest: Manifest, mark: str = "") -> BackupEntry:
    """The index entry that belongs to a manifest."""
    return BackupEntry(
        backup_id=manifest.backup_id,
        snapshot_at=manifest.snapshot_at,
        kind=manifest.kind,
        bytes=manifest.bytes,
        selection_hash=manifest.selection.hash,
        mark=mark,
    )


def merge(entries: Iterable[BackupEntry]) -> Iterator[Listed]:
    """One :class:`Listed` a backup, from entries in the order of their keys: those of one backup are neighbours."""
    current: BackupEntry | None = None
    marks: set[str] = set()
    for entry in entries:
        plain = replace(entry, mark="")
        if current is not None and plain != current:
            yield Listed(entry=current, marks=frozenset(marks))
            marks = set()
        current = plain
        if entry.mark:
            marks.add(entry.mark)
    if current is not None:
        yield Listed(entry=current, marks=frozenset(marks))


def selection_hash(wanted: object) -> str | None:
    """What the option ``selection`` means: ``whole``, ``any`` (None), a hash, or the lists that a backup is given."""
    if wanted == "any":
        return None
    if wanted == "whole":
        return Selection().hash
    if isinstance(wanted, str) and _HASH.fullmatch(wanted):
        return wanted
    if isinstance(wanted, dict) and set(wanted) <= set(_LISTS) and all(map(_is_texts, wanted.values())):
        return scope.selection(*(wanted.get(name, ()) for name in _LISTS)).hash
    raise RunbookError(
        code="invalid_parameter",
        attempted="use selection",
        object=repr(wanted),
        reason="it is whole, any, the twelve hex digits of a backup's selection, or a dictionary of the lists "
        f"{', '.join(_LISTS)}",
        remedy="Give selection another value; postgres_backup_info shows it for each backup.",
    )


def _is_texts(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)


class Backups:
    """The backups of ``<environment>/<name>`` in a store."""

    def __init__(self, store: Store, environment: str, name: str, context: Context) -> None:
        self.store = store
        self.environment = environment
        self.name = name
        self._context = context
        self._root = f"{environment}/databases/{name}"

    @property
    def label(self) -> str:
        """For messages: whose backups these are, and where."""
        return f"{self.environment}/{self.name} in {self.store.url}"

    def prefix(self, backup_id: str) -> str:
        """Where everything of one backup lies, manifest included."""
        return f"{self._root}/backups/{backup_id}/"

    def manifest_key(self, backup_id: str) -> str:
        """The key of a backup's manifest."""
        return f"{self.prefix(backup_id)}manifest.json"

    def index_key(self, entry: BackupEntry) -> str:
        """The key of an index entry."""
        return f"{self._root}/index/{encode_entry(entry)}"

    # listing

    def listed(self, *, since: datetime | None = None, until: datetime | None = None) -> Iterator[Listed]:
        """Every backup by snapshot time, oldest first, from ``since`` to ``until`` (both included)."""
        return merge(self._entries(since, until))

    def judged(self, listed: Iterable[Listed]) -> Iterator[tuple[Listed, verdict.Verdict]]:
        """Each with its verdict, which takes requests only for suspect and held ones."""
        return ((each, self.judge(each)) for each in listed)

    def judge(self, listed: Listed, manifest: Manifest | None = None) -> verdict.Verdict:
        """What is known of a listed backup."""
        return verdict.read(self, listed.entry, listed.marks, manifest)

    def verdict_on(self, manifest: Manifest) -> verdict.Verdict:
        """What is known of a backup whose manifest was read: one request, and what its marks point at."""
        entry = entry_of(manifest)
        stem = f"{self.index_key(entry)}."
        marks = {key.removeprefix(stem) for key in self.index_keys(manifest) if key.startswith(stem)}
        return verdict.read(self, entry, marks, manifest)

    def _entries(self, since: datetime | None, until: datetime | None) -> Iterator[BackupEntry]:
        prefix = f"{self._root}/index/"
        after = prefix + since.astimezone(UTC).strftime(_MOMENT) if since is not None else ""
        for stored in self.store.list(prefix, after=after):
            entry = decode_entry(stored.key.removeprefix(prefix))
            if entry is None:
                continue
            if until is not None and entry.snapshot_at > until:
                return
            yield entry

    def index_keys(self, manifest: Manifest) -> list[str]:
        """Every index key that a backup has, for whoever deletes it."""
        stem = self.index_key(entry_of(manifest))
        return [stored.key for stored in self.store.list(stem) if stored.key in (stem, *(f"{stem}.{m}" for m in MARKS))]

    # manifests

    def manifest(self, backup_id: str) -> Manifest | None:
        """The manifest of a backup; None where there is none. Raises ``object_corrupt`` and ``document_too_new``."""
        key = self.manifest_key(backup_id)
        body = self.store.get(key)
        if body is None:
            return None
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise self._corrupt(key, "it is not JSON") from error
        manifest = Manifest.from_json(document, where=key)
        if (manifest.backup_id, manifest.name) != (backup_id, self.name) or manifest.environment != self.environment:
            described = f"{manifest.environment}/{manifest.name}, backup {manifest.backup_id}"
            raise self._corrupt(key, f"it describes another backup ({described})")
        if strangers := [key for key in manifest.keys if not key.startswith(self.prefix(backup_id))]:
            raise self._corrupt(key, f"it names objects that are not this backup's ({strangers[0]})")
        return manifest

    def write_manifest(self, manifest: Manifest) -> bool:
        """Make a backup complete: its manifest, then its index key. False where another run's manifest is there."""
        body = json.dumps(manifest.to_json(), indent=1, sort_keys=True, ensure_ascii=False).encode()
        self._context.effect(f"write the manifest of backup {manifest.backup_id}")
        if not self.create(self.manifest_key(manifest.backup_id), body):
            return False
        if manifest.state == "suspect":
            self.write_index(manifest, "suspect")
        self.write_index(manifest)
        return True

    def create(self, key: str, body: bytes) -> bool:
        """A conditional create; on a store that has none, where locks live elsewhere, the lock keeps others out."""
        try:
            return self.store.create(key, body)
        except RunbookError as error:
            if error.code != "store_not_conditional":
                raise
        if self.store.head(key) is not None:
            return False
        self._context.effect(f"write {key}")
        self.store.put(key, body)
        return True

    def write_index(self, manifest: Manifest, mark: str = "") -> None:
        """Write one index key of a complete backup; also what repairs an index that lost it."""
        self._context.effect(f"write the index key of backup {manifest.backup_id}")
        self.store.put(self.index_key(entry_of(manifest, mark)), b"")

    def forget_mark(self, manifest: Manifest, mark: str) -> None:
        """Remove an index key that no longer says anything, at best effort: its document says so too."""
        self._context.effect(f"remove the index key of backup {manifest.backup_id}")
        try:
            self.store.delete(self.index_key(entry_of(manifest, mark)))
        except RunbookError as error:
            if error.code != "store_denied":
                raise

    def indexed(self, manifest: Manifest) -> bool:
        """Whether a complete backup has its index key; one whose writer died in between has none."""
        return self.store.head(self.index_key(entry_of(manifest))) is not None

    # choosing: always by manifest in the end

    def by_id(self, backup_id: str) -> Manifest:
        """The backup of that id, of whatever selection and state. Raises ``backup_not_found``."""
        manifest = self.manifest(backup_id)
        if manifest is None:
            raise self._not_found(f"use backup {backup_id}", "it has no manifest: never completed, or deleted")
        return manifest

    def require_objects(self, manifest: Manifest) -> None:
        """Fail where an archive of a complete backup is gone or has another size, whoever did that (a lifecycle rule).

        Raises ``object_missing`` and ``object_corrupt``. One request for each archive.
        """
        for archive in manifest.archives:
            stored = self.store.head(archive.key)
            if stored is not None and stored.size == archive.bytes:
                continue
            reason = "it is not there"
            if stored is not None:
                reason = f"it has {stored.size} bytes, and the manifest says {archive.bytes}"
            raise RunbookError(
                code="object_missing" if stored is None else "object_corrupt",
                attempted=f"count on backup {manifest.backup_id}",
                object=f"{archive.key} in {self.store.url}",
                reason=reason,
                remedy="Find out who changed this object (a lifecycle rule?), delete the backup with state absent and "
                "force, then take another one.",
            )

    def newest(
        self,
        selection_hash: str | None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        min_state: str = "complete",
    ) -> Manifest | None:
        """The newest good backup by snapshot time, proven where ``min_state`` says so; None where there is none.

        ``selection_hash`` None accepts any selection. A listed backup whose manifest is gone is passed over with a
        warning; one whose manifest cannot be read is an error, since an older one would silently lose data.
        """
        return self.first_with_manifest(self._newest_first(selection_hash, since, until), min_state)

    def first_with_manifest(self, candidates: Iterable[Listed], min_state: str = "complete") -> Manifest | None:
        """The first of these backups that is good and has a manifest; see :meth:`newest`."""
        for listed in candidates:
            if not self.judge(listed).reaches(min_state):
                continue
            manifest = self.manifest(listed.entry.backup_id)
            if manifest is None:
                named = f"backup {listed.entry.backup_id}, which has no manifest"
                self._context.warn(f"The index of {self.label} lists {named}; it was passed over.")
            elif manifest.state != "suspect" or self.judge(listed, manifest).reaches(min_state):
                return manifest
        return None

    def latest(self, selection_hash: str | None, min_state: str = "complete") -> Manifest:
        """The newest good backup. Raises ``backup_not_found``."""
        if (manifest := self.newest(selection_hash, min_state=min_state)) is not None:
            return manifest
        raise self._not_found("find the latest backup", self._why_none(selection_hash, None))

    def at(self, moment: datetime, selection_hash: str | None, min_state: str = "complete") -> Manifest:
        """The newest good backup whose snapshot is not later than ``moment``. Raises ``backup_not_found``."""
        if (manifest := self.newest(selection_hash, until=moment, min_state=min_state)) is not None:
            return manifest
        raise self._not_found(f"find a backup of {iso(moment)} or before", self._why_none(selection_hash, moment))

    def _newest_first(
        self, selection_hash: str | None, since: datetime | None, until: datetime | None
    ) -> Iterator[Listed]:
        """Listed backups, newest first: the last weeks before everything else, which one request usually answers."""
        recent = max(until or self._context.clock.now(), _FIRST + _RECENT) - _RECENT
        if since is not None and since >= recent:
            yield from self._matching(selection_hash, since, until)
            return
        yield from self._matching(selection_hash, recent, until)
        if recent > _FIRST:
            yield from self._matching(selection_hash, since, recent - timedelta(microseconds=1))

    def _matching(self, selection_hash: str | None, since: datetime | None, until: datetime | None) -> list[Listed]:
        found = [
            listed
            for listed in self.listed(since=since, until=until)
            if selection_hash in (None, listed.entry.selection_hash)
        ]
        return found[::-1]

    def _why_none(self, selection_hash: str | None, until: datetime | None) -> str:
        everything = list(self.listed(until=until))
        if not everything:
            return "the store lists no backup" + (" that old" if until else "")
        others = [listed for listed in everything if selection_hash not in (None, listed.entry.selection_hash)]
        fitting = list(self.judged(each for each in everything if each not in others))
        bare = [listed for listed, verdict in fitting if verdict.good and self._bare(listed)]
        counted = (
            (len(others), "of another selection"),
            (sum(not verdict.good for _listed, verdict in fitting), "suspect"),
            (len(bare), "without a manifest"),
            (sum(verdict.good and listed not in bare for listed, verdict in fitting), "not proven"),
        )
        named = ", ".join(f"{count} {what}" for count, what in counted if count)
        return f"of the backups that the store lists, {named} are all"

    def _bare(self, listed: Listed) -> bool:
        return self.store.head(self.manifest_key(listed.entry.backup_id)) is None

    def _not_found(self, attempted: str, reason: str) -> RunbookError:
        return RunbookError(
            code="backup_not_found",
            attempted=attempted,
            object=self.label,
            reason=reason,
            remedy="List what there is with ops.runbooks.postgres_backup_info, and check store, environment and name.",
        )

    def _corrupt(self, key: str, reason: str) -> RunbookError:
        return RunbookError(
            code="object_corrupt",
            attempted="read the manifest of a backup",
            object=f"{key} in {self.store.url}",
            reason=reason,
            remedy="Name another backup (postgres_backup_info lists them), and find out who changed this object.",
        )
