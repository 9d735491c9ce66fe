# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operation behind postgres_backup (private to ops.runbooks)."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core import age, binding
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import CLOCKS_MAY_DIFFER
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import RUN_SPEC, STORE_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._core.upload import Budget, part_size_for
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import (
    catalog,
    platform,
    pooler,
    removal,
    scope,
    tools,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup import amend as backup_amend
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup import outside, rights
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.compression import Compression, compression
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.plan import (
    BackupPlan,
    Observed,
    Reached,
    Work,
    check_same,
    describe,
    is_of,
    plan_backup,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.request import Request, request
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.shrink import refusal
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Backups
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import (
    CONNECTION_SPEC,
    Connector,
    Session,
    connector,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import KINDS, Manifest
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.sweep import sweep
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.tools import Toolset
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verdict import Verdict

BACKUP_SPEC = ArgumentSpec(
    options={
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "backup_id": {"type": "str"},
        "max_age": {"type": "str"},
        "backup_schedule": {"type": "str"},
        "backup_time_zone": {"type": "str", "default": "UTC"},
        "kind": {"type": "str", "choices": list(KINDS)},
        "schemas": {"type": "list", "elements": "str", "default": []},
        "tables": {"type": "list", "elements": "str", "default": []},
        "exclude_tables": {"type": "list", "elements": "str", "default": []},
        "exclude_table_data": {"type": "list", "elements": "str", "default": []},
        "compression": {"type": "str", "choices": ["auto", "zstd", "gzip", "none"], "default": "auto"},
        "compression_level": {"type": "int"},
        "include_globals": {"type": "bool", "default": False},
        "encryption": {"type": "str", "choices": ["none", "sse-s3", "sse-kms", "age"]},
        "age_recipients": {"type": "list", "elements": "str"},
        "kms_key_id": {"type": "str"},
        "bindir": {"type": "list", "elements": "path", "default": []},
        "timeout": {"type": "str"},
        "lock_wait_timeout": {"type": "str", "default": "60s"},
        "jobs": {"type": "int", "default": 1},
        "jobs_min_table_bytes": {"type": "int", "default": 32 * 1024**2},
        "shrink_threshold": {"type": "int", "default": 50},
        "accept_shrink": {"type": "bool", "default": False},
        "platform": {"type": "str", "choices": list(platform.PLATFORMS), "default": "auto"},
        "hold": {"type": "bool"},
        "hold_reason": {"type": "str"},
        "row_counts": {"type": "str", "choices": ["auto", "exact", "none"], "default": "auto"},
        "row_counts_max_bytes": {"type": "int", "default": 1024**3},
        "adopt": {"type": "bool", "default": False},
        "force": {"type": "bool", "default": False},
    },
    mutually_exclusive=(("backup_id", "backup_schedule"), ("schemas", "tables")),
    required_if=(
        ("state", "present", ("backup_id", "max_age", "backup_schedule"), True),
        ("state", "absent", ("backup_id",)),
    ),
    required_by={"hold_reason": ("hold",)},
)


class PostgresBackup(Operation[Any, Plan]):
    """A backup exists under its identity, or does not."""

    noun: ClassVar[str] = "backup"
    spec: ClassVar[ArgumentSpec] = ArgumentSpec().merge(BACKUP_SPEC, CONNECTION_SPEC, STORE_SPEC, RUN_SPEC)

    def __init__(self, params: Mapping[str, Any], context: Context, reached: Connector | None = None) -> None:
        """``reached`` is the way to the database of whoever takes a backup as a part of something else."""
        super().__init__(params, context)
        self._given = reached
        self._started = context.clock.now()
        self._reached: Reached | None = None
        self._proven = False
        self._tools: Toolset | None = None

    # the things at hand, each made when it is first needed

    @cached_property
    def wanted(self) -> Request:
        """The request; its identity is that of the run's start, however often the world is observed."""
        return request(self.params, self._started)

    @cached_property
    def backups(self) -> Backups:
        """The backups under this name."""
        return Backups(self.store, self.params["environment"], self.params["name"], self.context)

    @cached_property
    def connector(self) -> Connector:
        """The way to the database."""
        return self._given or connector(self.params, self.context)

    @cached_property
    def session(self) -> Session:
        """The session that observes."""
        return self.connector.open()

    # observe

    def observe(self) -> Observed | removal.Doomed:
        """See ``operation.Operation``."""
        if self.params["state"] == "absent":
            return removal.observe(self.backups, self.params["backup_id"], self.context)
        wanted = self.wanted
        reached = self._reach()
        bound = self._bound(reached)
        existing = self._existing(wanted, reached)
        return Observed(
            reached=reached,
            store_url=self.store.url,
            now=self._now(),
            existing=existing,
            indexed=existing is not None and self.backups.indexed(existing),
            work=None if existing else self._work(wanted, reached, bound),
            verdict=self.backups.verdict_on(existing) if existing else Verdict(),
        )

    def _reach(self) -> Reached:
        """Connect and see where that leads, with statements that do no harm through any pooler."""
        session = self.session
        self._reached = Reached(
            endpoint=session.endpoint,
            server=self.connector.server(session),
            database=catalog.database(session),
            role=session.value("SELECT current_user::pg_catalog.text", attempted="ask for the role"),
            source=self.connector.address.source,
        )
        return self._reached

    def _bound(self, reached: Reached) -> bool:
        """Whether the name is bound to what was reached; another binding is refused, unless it may be replaced."""
        identity = self.connector.identity(reached.server, reached.database.name)
        name = (self.state_store, self.wanted.environment, self.wanted.name)
        if not self.params["adopt"]:
            return binding.check(*name, identity) is not None
        found = binding.read(*name)
        return found is not None and found.is_to(identity)

    def _existing(self, wanted: Request, reached: Reached) -> Manifest | None:
        """The backup that satisfies the request: the one of that id, else a young one where age is what counts."""
        if wanted.by_id and (manifest := self.backups.manifest(wanted.backup_id)) is not None:
            check_same(manifest, wanted, reached)
            self.backups.require_objects(manifest)
            return manifest
        if wanted.max_age is None:
            return None
        now = self._now()
        try:
            # What is dated ahead was dated by a clock that was wrong: nobody knows how old it is.
            until = now + CLOCKS_MAY_DIFFER
            newest = self.backups.newest(wanted.selection.hash, since=now - wanted.max_age, until=until)
            if newest is not None and is_of(newest, reached):
                self.backups.require_objects(newest)
        except RunbookError as error:
            if error.code not in ("object_corrupt", "object_missing", "document_too_new"):
                raise
            # Never a reason not to have a good one: a damaged backup is when a new one is needed most.
            self.context.warn(f"{error.message} It does not count as young enough, so another backup is due.")
            return None
        if newest is not None and is_of(newest, reached):
            return newest
        if wanted.by_id or newest is not None:
            return None
        suspect = backup_amend.fresh_suspect(self.backups, wanted.selection.hash, now - wanted.max_age, until)
        return suspect if suspect is not None and is_of(suspect, reached) else None

    def _now(self) -> datetime:
        """The database server's clock, by which snapshots are dated."""
        # As a number: the session may not be ours to set, and psycopg cannot read every DateStyle.
        seconds = self.session.value(
            "SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())", attempted="read the server's clock"
        )
        return datetime.fromtimestamp(seconds, UTC)

    def _work(self, wanted: Request, reached: Reached, bound: bool) -> Work:
        """All that a new backup needs, or the failure that tells what is missing; nothing is written."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="look") as aside:
            # Programs take a while to start: they do so while the server answers.
            looking = aside.submit(self._toolset, wanted, reached)
            contents, lack = self._contents(wanted, reached)
        found = looking.result()
        method = self._compression(found)
        part_size = part_size_for(reached.database.bytes, method.method)
        budget = Budget()
        budget.fit(part_size)
        if wanted.recipients:
            age.require(wanted.recipients)
        return Work(
            scope=contents,
            lack=lack,
            pg_dump=found.pg_dump,
            pg_restore=found.pg_restore,
            pg_dumpall=found.pg_dumpall,
            compression=method,
            part_size=part_size,
            memory_budget=budget.total,
            memory_budget_raised=budget.raised_to is not None,
            bound=bound,
            before=self._last_good(wanted),
            platform=platform.look(self.session, self.params["platform"]),
        )

    def _last_good(self, wanted: Request) -> Manifest | None:
        """What a new backup is measured by."""
        try:
            return self.backups.newest(wanted.selection.hash)
        except RunbookError as error:
            if error.code not in ("object_corrupt", "document_too_new"):
                raise
            # A damaged backup is when a new one is needed most.
            self.context.warn(f"{error.message} Whether the database has shrunk since is therefore not known.")
            return None

    def _contents(self, wanted: Request, reached: Reached) -> tuple[scope.Scope, outside.Lack]:
        """What would be dumped, all of which the role may read, and what that lacks; by a session proven to be one."""
        session = self.session
        if not self._proven:
            pooler.require_session(self.connector, session)
            session.prepare_for_work(wanted.lock_wait_timeout)
            self._proven = True
        relations = scope.read_relations(session)
        contents = scope.choose(relations, wanted.selection, standby=reached.server.in_recovery)
        rights.check(
            contents,
            role=reached.role,
            unreadable_large_objects=catalog.unreadable_large_objects(session) if contents.large_objects else 0,
            where=reached.endpoint.label,
        )
        return contents, outside.read_lack(session, relations, contents, wanted.selection)

    def _toolset(self, wanted: Request, reached: Reached) -> Toolset:
        """The tools of the server's own major version, looked for once."""
        if self._tools is None:
            self._tools = tools.find_set(
                reached.server.major,
                pg_dumpall=wanted.include_globals,
                bindir=self.params["bindir"],
                environment=self.connector.tool_environment(),
                context=self.context,
            )
        return self._tools

    def _compression(self, found: Toolset) -> Compression:
        described = f"{found.pg_dump.path} ({found.pg_dump.version})"
        level = self.params["compression_level"]
        return compression(self.params["compression"], level, zstd=found.zstd, tool=described)

    # plan, act

    def plan(self, state: Observed | removal.Doomed) -> Plan:
        """See ``operation.Operation``."""
        if isinstance(state, removal.Doomed):
            return removal.plan_removal(state, force=self.params["force"])
        return plan_backup(self.wanted, state)

    def resources(self, plan: Plan) -> tuple[str, ...]:
        """See ``operation.Operation``."""
        return (f"database/{self.params['name']}",)

    def act(self, state: Observed | removal.Doomed, plan: Plan) -> Mapping[str, Any]:
        """See ``operation.Operation``."""
        if isinstance(plan, removal.RemovalPlan):
            return removal.act(self.backups, plan, self.context)
        if isinstance(state, removal.Doomed) or not isinstance(plan, BackupPlan):
            raise TypeError("state and plan are of two different operations")
        if state.existing is not None and plan.amendment is not None:
            backup_amend.carry_out(plan.amendment, self.backups, state.existing, self.wanted.hold, self.context)
            return plan.result
        if state.work is None:
            raise ValueError("nothing was prepared")
        manifest = self._make(state, state.work)
        counts = self.backups.verdict_on(manifest)
        if not counts.good:
            raise refusal(manifest, counts, state.reached.endpoint.label)
        return describe(
            manifest, state.reached, store_url=self.store.url, now=self._now(), work=state.work, verdict=counts
        )

    def _make(self, state: Observed, work: Work) -> Manifest:
        from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.run import BackupRun

        sweep(self.backups, self.context)
        wanted, reached = self.wanted, state.reached
        if not work.bound:
            binding.bind(
                self.state_store,
                wanted.environment,
                wanted.name,
                self.connector.identity(reached.server, reached.database.name),
                self.context,
                adopt=self.params["adopt"],
            )
        return BackupRun(
            wanted=wanted,
            reached=reached,
            work=work,
            backups=self.backups,
            connector=self.connector,
            observer=self.session,
            endpoint_url=self.params["endpoint_url"],
            context=self.context,
        ).run()

    # failures

    def context_of_failure(self) -> Mapping[str, Any]:
        """Which backup, and which database was described or, once it was, reached."""
        known: dict[str, Any] = {"environment": self.params["environment"], "name": self.params["name"]}
        if backup_id := self.wanted.backup_id if "wanted" in self.__dict__ else self.params["backup_id"]:
            known["id"] = backup_id
        if "connector" in self.__dict__:
            endpoint = self.connector.endpoint
            known |= {"host": endpoint.host, "endpoint": endpoint.label, "database": {"name": endpoint.database}}
            known["connection_source"] = self.connector.address.source
        if self._reached is not None:
            server, database = self._reached.server, self._reached.database
            known["database"] = {
                "name": database.name,
                "oid": database.oid,
                "server_version": server.version,
                "system_identifier": server.system_identifier,
            }
        return known

    def close(self) -> None:
        """See ``operation.Operation``."""
        if "connector" in self.__dict__:
            self.connector.close()
