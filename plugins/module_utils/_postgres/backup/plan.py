# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What postgres_backup would do (private to ops.runbooks). Everything here is pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._core.age import short
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import (
    human,
    human_bytes,
    iso,
)
from ansible_collections.ops.runbooks.plugins.module_utils._core.codec import encode
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Plan
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.amend import Amendment, amend
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.compression import Compression
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.outside import Lack
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.request import Request, invalid
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    ArchiveFact,
    ByHand,
    DatabaseFact,
    Endpoint,
    Manifest,
    ObjectFact,
    PlatformFact,
    ServerFact,
    TableFact,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.scope import (
    KINDS,
    Scope,
    in_words,
    relations_in_words,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.tools import Tool
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verdict import Verdict

#: Stands in predicted keys for what only the run itself draws.
UNKNOWN_TOKEN = "<run token>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """The database at the other end, and what its address was found in."""

    endpoint: Endpoint
    server: ServerFact
    database: DatabaseFact
    role: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a new backup would be made of and with. ``before`` is the last good one of the same selection."""

    scope: Scope
    pg_dump: Tool
    pg_restore: Tool
    pg_dumpall: Tool | None
    compression: Compression
    part_size: int
    memory_budget: int
    memory_budget_raised: bool
    bound: bool
    lack: Lack = field(default_factory=Lack)
    before: Manifest | None = None
    platform: PlatformFact = field(default_factory=PlatformFact)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The world as the module found it. ``existing`` is what satisfies the request, ``work`` is None where it does."""

    reached: Reached
    store_url: str
    now: datetime
    existing: Manifest | None
    indexed: bool
    work: Work | None
    verdict: Verdict = field(default_factory=Verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupPlan(Plan):
    """``make`` a backup, ``amend`` what is known of one that exists, or nothing."""

    action: Literal["make", "amend", "nothing"]
    amendment: Amendment | None = None


def is_of(manifest: Manifest, reached: Reached) -> bool:
    """Whether a backup was taken of the database that was reached."""
    was = (manifest.server.system_identifier, manifest.database.name)
    return was == (reached.server.system_identifier, reached.database.name)


def check_same(manifest: Manifest, wanted: Request, reached: Reached) -> None:
    """Fail where the backup of this id is of another database or holds something else."""
    if not is_of(manifest, reached):
        raise RunbookError(
            code="store_binding_mismatch",
            attempted=f"take backup {wanted.backup_id}",
            object=reached.endpoint.label,
            reason=f"a backup of that id exists, of database {manifest.database.name} on {manifest.server.host}:"
            f"{manifest.server.port} (system identifier {manifest.server.system_identifier}); "
            f"this is database {reached.database.name} of a server with {reached.server.system_identifier}",
            remedy="Use another backup_id, or another name for this database.",
        )
    if manifest.selection.hash != wanted.selection.hash:
        raise invalid(
            "backup_id",
            wanted.backup_id,
            f"the backup of that id holds {manifest.selection.describe()}, and asked for is "
            f"{wanted.selection.describe()}",
            "Use another backup_id for another selection.",
        )


def plan_backup(wanted: Request, seen: Observed) -> BackupPlan:
    """The decision."""
    if seen.existing is not None:
        return _plan_existing(wanted, seen, seen.existing)
    if seen.work is None:
        raise ValueError("neither a backup nor what one would be made of was observed")
    predicted = predict(wanted, seen, seen.work)
    absent = (
        f"{name} is left out by exclude_tables or exclude_table_data, but the database has no such table."
        for name in seen.work.scope.absent
    )
    return BackupPlan(
        action="make",
        changed=True,
        result=predicted,
        steps=tuple(_steps(wanted, seen, seen.work)),
        before={"backup": None},
        after={"backup": {name: predicted[name] for name in ("id", "kind", "state", "selection", "tables")}},
        warnings=(*_mistaken(wanted), *absent, *seen.work.lack.warnings),
    )


def _mistaken(wanted: Request) -> Iterator[str]:
    """Whoever names a backup by hand to hold it, or to let it go, may mean one that has another name, or is gone."""
    if not wanted.by_id or wanted.kind != "manual" or wanted.hold.wanted is None:
        return
    meant = "to hold, so that a new one is taken and held" if wanted.hold.wanted else "to let go, so that one is taken"
    yield f"There is no backup {wanted.backup_id} {meant}. Where an older one was meant, name that."


def _plan_existing(wanted: Request, seen: Observed, manifest: Manifest) -> BackupPlan:
    due = amend(
        manifest,
        seen.verdict,
        indexed=seen.indexed,
        hold=wanted.hold,
        accept_shrink=wanted.accept_shrink,
        where=seen.reached.endpoint.label,
    )
    return BackupPlan(
        action="amend" if due.steps else "nothing",
        changed=bool(due.steps),
        result=describe(manifest, seen.reached, store_url=seen.store_url, now=seen.now, verdict=due.verdict),
        steps=due.steps,
        before=due.before,
        after=due.after,
        amendment=due,
        warnings=tuple(_encrypted_otherwise(wanted, manifest)),
    )


def _encrypted_otherwise(wanted: Request, manifest: Manifest) -> Iterator[str]:
    """What exists is not written again, and is not called what it is not."""
    if not wanted.recipients or manifest.age_recipients == wanted.recipients:
        return
    how = "to other recipients than age_recipients names" if manifest.age_recipients else "not with age"
    yield (
        f"Backup {manifest.backup_id} exists already and is encrypted {how}. It stays as it is; "
        "the next backup is encrypted as asked for."
    )


def _steps(wanted: Request, seen: Observed, work: Work) -> list[str]:
    where, scope = seen.reached.endpoint.label, work.scope
    limit = f", at most {human(wanted.timeout.total_seconds())}" if wanted.timeout else ""
    steps = []
    if not work.bound:
        steps.append(f"bind {wanted.environment}/{wanted.name} to {where}, so that another database is refused later")
    steps += [
        "remove what runs that died more than a day ago left under this name",
        f"lock {relations_in_words(scope.lockable)} of {where} against TRUNCATE, DROP and rewriting ALTER, "
        f"waiting at most {human(wanted.lock_wait_timeout.total_seconds())} for each, and take a snapshot",
        f"stream pg_dump {work.pg_dump.version} of {wanted.selection.describe()} "
        f"({human_bytes(seen.reached.database.bytes)} on the server, {work.compression.text}) to "
        f"{seen.store_url}/{wanted.prefix}{limit}",
    ]
    if wanted.recipients:
        steps.append(f"encrypt all of it with age on the way, to {', '.join(map(short, wanted.recipients))}")
    if wanted.row_counts != "none":
        most = f" of up to {human_bytes(wanted.row_counts_max_bytes)}" if wanted.row_counts == "auto" else ""
        steps.append(f"count the rows of {relations_in_words(scope.with_rows)}{most} in the same snapshot")
    if work.pg_dumpall is not None:
        steps.append("add the server's roles, without passwords")
    if wanted.jobs > 1:
        steps.append(
            f"stream up to {wanted.jobs} archives at once in that snapshot: tables of "
            f"{human_bytes(wanted.jobs_min_table_bytes)} and more by themselves, as far as that shares the work"
        )
    steps.append("read the table of contents of what was stored back and have pg_restore accept it")
    if work.before is not None and not wanted.accept_shrink and wanted.shrink_threshold < 100:
        steps.append(
            f"fail, and let the backup not count, where more than {wanted.shrink_threshold} % of what backup "
            f"{work.before.backup_id} held is missing"
        )
    steps.append("write manifest.json, which makes the backup complete, and its index key")
    if wanted.hold.wanted:
        steps.append("hold it, so that nobody deletes it")
    return steps


def describe(
    manifest: Manifest,
    reached: Reached | None,
    *,
    store_url: str,
    now: datetime,
    work: Work | None = None,
    verdict: Verdict | None = None,
) -> dict[str, Any]:
    """The ``backup`` object of a result. ``reached`` is None where no database was asked."""
    chosen = encode(manifest.selection)
    counts = verdict or Verdict()
    return {
        "id": manifest.backup_id,
        "kind": manifest.kind,
        "state": counts.state,
        "held": counts.held,
        "hold_reason": counts.hold_reason,
        "environment": manifest.environment,
        "name": manifest.name,
        "snapshot_at": iso(manifest.snapshot_at),
        "age_seconds": max(int((now - manifest.snapshot_at).total_seconds()), 0),
        "bytes": manifest.bytes,
        "size": human_bytes(manifest.bytes),
        "rows": manifest.rows,
        "tables": len(manifest.tables),
        "holds": in_words(each.kind for each in manifest.tables),
        "selection": {**chosen, "hash": manifest.selection.hash, "whole": manifest.selection.whole},
        "database": _database(manifest),
        "host": reached.endpoint.host if reached else manifest.server.host,
        "endpoint": reached.endpoint.label if reached else None,
        "connection_source": reached.source if reached else None,
        "store": store_url,
        "manifest": f"{manifest.environment}/databases/{manifest.name}/backups/{manifest.backup_id}/manifest.json",
        "platform": encode(manifest.platform),
        "lacks": list(manifest.lacks),
        "archives": encode(manifest.archives),
        "globals": encode(manifest.globals),
        "compression": manifest.compression,
        "encryption": manifest.encryption,
        "age_recipients": list(manifest.age_recipients),
        "part_size": work.part_size if work else None,
        "memory_budget": {"bytes": work.memory_budget, "raised": work.memory_budget_raised} if work else None,
        "durations": dict(manifest.durations),
        "restore_by_hand": list(manifest.restore_by_hand.commands),
        "run_id": manifest.run_id,
    }


def _database(manifest: Manifest) -> dict[str, Any]:
    return {
        "name": manifest.database.name,
        "oid": manifest.database.oid,
        "owner": manifest.database.owner,
        "server_version": manifest.server.version,
        "system_identifier": manifest.server.system_identifier,
    }


def predict(wanted: Request, seen: Observed, work: Work) -> dict[str, Any]:
    """The ``backup`` object as the real run would return it; None for what only that run can know."""
    token_prefix = f"{wanted.prefix}{UNKNOWN_TOKEN}/"
    roles = (
        ObjectFact(key=f"{token_prefix}{wanted.file('globals.sql')}", bytes=0, sha256="") if work.pg_dumpall else None
    )
    manifest = Manifest(
        backup_id=wanted.backup_id,
        environment=wanted.environment,
        name=wanted.name,
        kind=wanted.kind,
        run_token=UNKNOWN_TOKEN,
        run_id="",
        created_at=seen.now,
        snapshot_at=seen.now,
        snapshot_lsn="",
        server=seen.reached.server,
        tools={},
        database=seen.reached.database,
        selection=wanted.selection,
        platform=work.platform,
        archives=(ArchiveFact(key=f"{token_prefix}{wanted.file('database.dump')}", bytes=0, sha256="", entries=0),),
        globals=roles,
        tables=tuple(TableFact(schema=t.name.schema, name=t.name.name, kind=KINDS[t.kind]) for t in work.scope.tables),
        lacks=work.lack.named,
        encryption=wanted.encryption_name,
        age_recipients=wanted.recipients,
        compression=work.compression.text,
        restore_by_hand=ByHand(commands=(), needs_major=seen.reached.server.major),
    )
    counts = wanted.hold.of(Verdict())
    result = describe(manifest, seen.reached, store_url=seen.store_url, now=seen.now, work=work, verdict=counts)
    unknown = {"bytes": None, "sha256": None, "age": None}
    one = [{**each, **unknown, "entries": None} for each in result["archives"]]
    archives = one if wanted.jobs == 1 else None  # how many, only sizes that are read under the locks say
    stored_roles = {**result["globals"], **unknown} if roles else None
    found_out = dict.fromkeys(("bytes", "size", "rows", "run_id"))
    return {**result, **found_out, "archives": archives, "globals": stored_roles}
