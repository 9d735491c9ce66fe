# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making a backup (private to ops.runbooks), once it is decided: lock, snapshot, dump, check, manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.names import new_token
from ansible_collections.ops.runbooks.plugins.module_utils._core.parallel import together
from ansible_collections.ops.runbooks.plugins.module_utils._core.upload import Budget
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import catalog
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.by_hand import by_hand
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.coordinator import (
    Coordinator,
    Examined,
    Held,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.dump import (
    Dumper,
    LockQueued,
    Stored,
    Written,
    check_contents,
    restored_sequences,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.plan import (
    Work,
    check_same,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.request import Request
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.shrink import shrunk
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    OPEN_SCHEMA,
    SEALED_SCHEMA,
    LargeObjectsFact,
    Manifest,
    ObjectFact,
    SequenceFact,
    TableFact,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.scope import KINDS
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.streams import (
    Stream,
    in_order_of_work,
    plan_streams,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.sweep import Attempt

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.plan import Reached
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Backups
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector, Session

#: Seconds that pg_dump waits for a lock, and how often the dump is begun anew where that was too long. Everybody who
#: wants the table waits behind the session that came between, so this is short.
_LOCK_WAIT = 5.0
_RETRIES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Dumped:
    """What the time under the coordinator's locks has yielded."""

    held: Held
    examined: Examined
    sequences: dict[int, catalog.SequenceState]
    stored: Sequence[Stored]
    roles: ObjectFact | None
    durations: Mapping[str, float]


class BackupRun:
    """One backup in the making. ``observer`` is a session of its own, beside the coordinator's."""

    def __init__(
        self,
        *,
        wanted: Request,
        reached: Reached,
        work: Work,
        backups: Backups,
        connector: Connector,
        observer: Session,
        endpoint_url: str | None,
        context: Context,
    ) -> None:
        self._wanted = wanted
        self._reached = reached
        self._work = work
        self._backups = backups
        self._connector = connector
        self._observer = observer
        self._endpoint_url = endpoint_url
        self._context = context
        self._token = new_token()
        self._began = context.clock.monotonic()
        self._budget = Budget()

    def run(self) -> Manifest:
        """The manifest of the backup: this run's own, or the winner's where another run was faster."""
        wanted, clock = self._wanted, self._context.clock
        with Attempt(self._backups, wanted.backup_id, self._token, clock.now(), self._context) as attempt:
            manifest = self._judged(self._manifest(self._dump(attempt)))
            attempt.keep()
            if self._backups.write_manifest(manifest):
                if wanted.hold.wanted:
                    wanted.hold.set(self._backups, manifest, self._context)
                return manifest
            attempt.discard()
        winner = self._backups.by_id(wanted.backup_id)
        check_same(winner, wanted, self._reached)
        return winner

    def _judged(self, manifest: Manifest) -> Manifest:
        """The manifest, suspect where much of what the last good backup held is missing."""
        wanted, before = self._wanted, self._work.before
        if before is None or wanted.accept_shrink:
            return manifest
        reason = shrunk(before, manifest.tables, wanted.shrink_threshold)
        return manifest if reason is None else replace(manifest, state="suspect", suspect_reason=reason)

    def _dump(self, attempt: Attempt) -> Dumped:
        """Dump, and begin anew where a session came between our lock and pg_dump's: it gets its turn first."""
        for _retry in range(_RETRIES):
            try:
                return self._dump_once(attempt)
            except LockQueued as queued:
                self._context.progress(retried=queued.reason)
                attempt.clear()
        return self._dump_once(attempt)

    def _dump_once(self, attempt: Attempt) -> Dumped:
        work, wanted = self._work, self._wanted
        dumper = self._dumper()
        timer = _Laps(self._context)
        with Coordinator(self._connector, self._observer, wanted.selection, wanted.lock_wait_timeout) as coordinator:
            held = coordinator.hold()
            timer.lap("lock")
            streams = self._streams(coordinator, held)
            coordinator.examine(held, row_counts=wanted.row_counts, max_bytes=wanted.row_counts_max_bytes)
            written = self._dump_streams(dumper, streams, attempt.prefix, held)
            roles = (
                dumper.globals(work.pg_dumpall, f"{attempt.prefix}{wanted.file('globals.sql')}")
                if work.pg_dumpall
                else None
            )
            timer.lap("dump")
            examined = coordinator.examined(self._time_left())
            coordinator.require_held()
            timer.lap("count_after_dump")
            sequences = catalog.sequences(self._observer, held.scope.sequences)
        stored = self._read_back(dumper, streams, written)
        check_contents(stored, held.scope.with_rows, self._reached.endpoint.label)
        timer.lap("read_back")
        return Dumped(
            held=held,
            examined=examined,
            sequences=sequences,
            stored=stored,
            roles=roles,
            durations={**timer.laps, "count": examined.seconds},
        )

    def _dumper(self) -> Dumper:
        wanted = self._wanted
        limit = wanted.timeout
        return Dumper(
            store=self._backups.store,
            connector=self._connector,
            context=self._context,
            encryption=wanted.encryption,
            recipients=wanted.recipients,
            budget=self._budget,
            deadline=None if limit is None else self._began + limit.total_seconds(),
        )

    def _streams(self, coordinator: Coordinator, held: Held) -> tuple[Stream, ...]:
        """The archives to make, by the sizes of the tables now that nobody can drop them."""
        jobs = self._wanted.jobs
        sizes, through_root = coordinator.big_tables(held) if jobs > 1 else ({}, frozenset())
        return plan_streams(
            held.scope,
            sizes,
            jobs=jobs,
            least=self._wanted.jobs_min_table_bytes,
            total=self._reached.database.bytes,
            through_root=through_root,
            compression=self._work.compression.method,
        )

    def _dump_streams(self, dumper: Dumper, streams: Sequence[Stream], prefix: str, held: Held) -> dict[str, Written]:
        """All archives, by their file's name, as many at once as there are jobs; the first failure ends the others."""
        common = self._arguments(held)
        pg_dump = self._work.pg_dump
        working = in_order_of_work(streams)
        jobs = [
            partial(
                dumper.archive,
                pg_dump,
                f"{prefix}{self._wanted.file(each.file)}",
                [*common, *each.arguments],
                each.part_size,
            )
            for each in working
        ]
        done = together(jobs, self._wanted.jobs, dumper.crew)
        return {stream.file: each for stream, each in zip(working, done, strict=True)}

    def _read_back(self, dumper: Dumper, streams: Sequence[Stream], written: Mapping[str, Written]) -> list[Stored]:
        tool = self._work.pg_restore
        jobs = [
            partial(dumper.read_back, written[each.file], tool, each.role, each.table.name.text if each.table else None)
            for each in streams
        ]
        return together(jobs, self._wanted.jobs, dumper.crew)

    def _arguments(self, held: Held) -> list[str]:
        """pg_dump locks what is locked already, which needs no wait, unless a session came in between."""
        wait = min(self._wanted.lock_wait_timeout.total_seconds(), _LOCK_WAIT)
        return [
            self._work.compression.argument(self._work.pg_dump.major),
            f"--snapshot={held.snapshot}",
            f"--lock-wait-timeout={int(wait * 1000)}",
        ]

    def _time_left(self) -> float | None:
        limit = self._wanted.timeout
        if limit is None:
            return None
        return max(self._began + limit.total_seconds() - self._context.clock.monotonic(), 0)

    def _manifest(self, dumped: Dumped) -> Manifest:
        wanted, facts, held = self._wanted, dumped.examined.facts, dumped.held
        server = self._reached.server
        archives = tuple(each.fact for each in dumped.stored)
        total = self._context.clock.monotonic() - self._began
        return Manifest(
            schema=SEALED_SCHEMA if wanted.recipients else OPEN_SCHEMA,
            backup_id=wanted.backup_id,
            environment=wanted.environment,
            name=wanted.name,
            kind=wanted.kind,
            run_token=self._token,
            run_id=self._context.run_id,
            created_at=self._context.clock.now(),
            snapshot_at=held.snapshot_at,
            snapshot_lsn=held.snapshot_lsn,
            server=server,
            tools={"pg_dump": self._work.pg_dump.version},
            database=facts.database,
            selection=wanted.selection,
            roles=facts.roles,
            extensions=facts.extensions,
            archives=archives,
            globals=dumped.roles,
            tables=_tables(held, dumped.examined),
            sequences=_sequences(dumped),
            large_objects=facts.large_objects if held.scope.large_objects else LargeObjectsFact(count=0, bytes=0),
            migration_head=facts.migration_head,
            platform=self._work.platform,
            lacks=self._work.lack.named,
            encryption=wanted.encryption_name,
            age_recipients=wanted.recipients,
            compression=self._work.compression.text,
            durations={name: round(value, 3) for name, value in {**dumped.durations, "total": total}.items()},
            restore_by_hand=by_hand(
                store_url=self._backups.store.url,
                endpoint_url=self._endpoint_url,
                archives=archives,
                roles=dumped.roles,
                database=facts.database,
                selection=wanted.selection,
                major=server.major,
            ),
        )


class _Laps:
    """How long each step took, in seconds."""

    def __init__(self, context: Context) -> None:
        self._clock = context.clock
        self._last = self._clock.monotonic()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = self._clock.monotonic()
        self.laps[name] = now - self._last
        self._last = now


def _tables(held: Held, examined: Examined) -> tuple[TableFact, ...]:
    sizes = examined.facts.sizes
    return tuple(
        TableFact(
            schema=each.name.schema,
            name=each.name.name,
            kind=KINDS[each.kind],
            rows=examined.counts.get(each.oid),
            rows_by="exact" if each.oid in examined.counts else "none",
            bytes=sizes[each.oid].bytes if each.oid in sizes else 0,
            data=each.oid in held.scope.data,
            extension=each.extension,
            row_security=each.row_security,
            row_security_forced=each.row_security_forced,
            policies=sizes[each.oid].policies if each.oid in sizes else (),
        )
        for each in held.scope.tables
    )


def _sequences(dumped: Dumped) -> tuple[SequenceFact, ...]:
    """Those whose values the archive sets, and that were there before and after."""
    restored = restored_sequences(dumped.stored)
    before, after = dumped.held.sequences, dumped.sequences
    return tuple(
        SequenceFact(
            schema=each.name.schema,
            name=each.name.name,
            before=before[each.oid].last,
            after=after[each.oid].last,
            increment=before[each.oid].increment,
            cycle=before[each.oid].cycle,
        )
        for each in dumped.held.scope.sequences
        if (each.name.schema, each.name.name) in restored and each.oid in before and each.oid in after
    )
