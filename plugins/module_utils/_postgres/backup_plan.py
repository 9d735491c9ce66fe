# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What postgres_backup would do (private to ops.runbooks). Everything here is pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import (
    compact,
    human,
    human_bytes,
    iso,
    parse_duration,
)
from ansible_collections.ops.runbooks.plugins.module_utils._core.codec import encode
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import check_id
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Encryption
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup_amend import Amendment, Hold, amend
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.compression import Compression
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    ArchiveFact,
    ByHand,
    DatabaseFact,
    Endpoint,
    Manifest,
    ObjectFact,
    PlatformFact,
    Selection,
    ServerFact,
    TableFact,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.outside import Lack
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.scope import (
    KINDS,
    Scope,
    in_words,
    relations_in_words,
    selection,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.streams import MOST_JOBS
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.tools import Tool
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verdict import Verdict

#: Stands in predicted keys for what only the run itself draws.
UNKNOWN_TOKEN = "<run token>"
#: PostgreSQL's settings of this kind are milliseconds in 31 bits (manual, lock_timeout).
_LONGEST_WAIT = timedelta(days=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for, made from the module's parameters; times in the forms that the work uses."""

    environment: str
    name: str
    backup_id: str
    by_id: bool
    kind: str
    max_age: timedelta | None
    selection: Selection
    include_globals: bool
    encryption: Encryption
    row_counts: str
    row_counts_max_bytes: int
    timeout: timedelta | None
    lock_wait_timeout: timedelta
    jobs: int = 1
    jobs_min_table_bytes: int = 0
    shrink_threshold: int = 50
    accept_shrink: bool = False
    hold: Hold = field(default_factory=Hold)

    @property
    def prefix(self) -> str:
        """Where everything of the backup lies."""
        return f"{self.environment}/databases/{self.name}/backups/{self.backup_id}/"


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


def request(params: Mapping[str, Any], started: datetime) -> Request:
    """The request in a module's parameters; ``started`` is when the run began. Raises ``invalid_parameter``."""
    backup_id, by_id = _identity(params, started)
    if parse_duration(params["lock_wait_timeout"], "lock_wait_timeout") > _LONGEST_WAIT:
        raise _invalid("lock_wait_timeout", params["lock_wait_timeout"], "a server waits for 24 days", "Use less.")
    if backup_id == "latest":
        raise _invalid("backup_id", "latest", "to a restore that word means the newest backup", "Choose another.")
    if not 1 <= params["jobs"] <= MOST_JOBS:
        raise _invalid("jobs", str(params["jobs"]), f"it is a number from 1 to {MOST_JOBS}", "Use one of these.")
    if not 0 <= params["shrink_threshold"] <= 100:
        raise _invalid("shrink_threshold", str(params["shrink_threshold"]), "it is a percentage", "Use 0 to 100.")
    kind = params["kind"] or ("scheduled" if params["backup_schedule"] else "manual")
    duration = {
        name: parse_duration(params[name], name) if params[name] is not None else None
        for name in ("max_age", "timeout", "lock_wait_timeout")
    }
    return Request(
        environment=params["environment"],
        name=params["name"],
        backup_id=check_id(backup_id or f"{kind}-{compact(started)}", "backup_id"),
        by_id=by_id,
        kind=kind,
        max_age=duration["max_age"],
        selection=selection(
            params["schemas"], params["tables"], params["exclude_tables"], params["exclude_table_data"]
        ),
        include_globals=params["include_globals"],
        encryption=_encryption(params),
        row_counts=params["row_counts"],
        row_counts_max_bytes=params["row_counts_max_bytes"],
        timeout=duration["timeout"],
        lock_wait_timeout=duration["lock_wait_timeout"] or timedelta(seconds=60),
        jobs=params["jobs"],
        jobs_min_table_bytes=params["jobs_min_table_bytes"],
        shrink_threshold=params["shrink_threshold"],
        accept_shrink=params["accept_shrink"],
        hold=Hold(wanted=params["hold"], reason=params["hold_reason"]),
    )


def _encryption(params: Mapping[str, Any]) -> Encryption:
    """The archives' own, or that of everything in the store."""
    if params["encryption"] is None:
        return Encryption.of_store(params)
    return Encryption(mode=params["encryption"], key_id=params["kms_key_id"] or params.get("store_kms_key_id"))


def _identity(params: Mapping[str, Any], started: datetime) -> tuple[str | None, bool]:
    """The backup's id where one is asked for, and whether it is: with ``max_age`` alone any young backup does."""
    if params["backup_schedule"] is None:
        return params["backup_id"], params["backup_id"] is not None
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.schedule import nearest

    return nearest(params["backup_schedule"], params["backup_time_zone"], started).backup_id, True


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
        raise _invalid(
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
        warnings=(*absent, *seen.work.lack.warnings),
    )


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
    roles = ObjectFact(key=f"{token_prefix}globals.sql", bytes=0, sha256="") if work.pg_dumpall else None
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
        archives=(ArchiveFact(key=f"{token_prefix}database.dump", bytes=0, sha256="", entries=0),),
        globals=roles,
        tables=tuple(TableFact(schema=t.name.schema, name=t.name.name, kind=KINDS[t.kind]) for t in work.scope.tables),
        lacks=work.lack.named,
        encryption=wanted.encryption.mode,
        compression=work.compression.text,
        restore_by_hand=ByHand(commands=(), needs_major=seen.reached.server.major),
    )
    counts = wanted.hold.of(Verdict())
    result = describe(manifest, seen.reached, store_url=seen.store_url, now=seen.now, work=work, verdict=counts)
    unknown = {"bytes": None, "sha256": None}
    one = [{**each, **unknown, "entries": None} for each in result["archives"]]
    archives = one if wanted.jobs == 1 else None  # how many, only sizes that are read under the locks say
    stored_roles = {**result["globals"], **unknown} if roles else None
    found_out = dict.fromkeys(("bytes", "size", "rows", "run_id"))
    return {**result, **found_out, "archives": archives, "globals": stored_roles}


def _invalid(what: str, value: str, reason: str, remedy: str) -> RunbookError:
    return RunbookError(code="invalid_parameter", attempted=f"use {what}", object=value, reason=reason, remedy=remedy)
