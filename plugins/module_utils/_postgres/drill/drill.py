# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drill (private to ops.runbooks): a backup is restored into a scratch database, looked at, and dropped again.

It happens on a server that the user names, which is never the one that the backup is of, or on a private server that
lives only as long as the drill.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import new_token
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import tools
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector, connector
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.drill import checks as drill_checks
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.drill.checks import Checked
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.drill.contents import show, wanted_extensions
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.drill.equip import Equipped, adapt_locale, equip
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.drill.private_server import LOADER, private_server
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.drill.scratch import Scratches
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Manifest, ServerFact, quote_identifier
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.pooler import require_session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore import checks
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.build import Building, Built, undisturbed
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import (
    Ownership,
    adapt,
    needed_roles,
    owners,
    tablespaces,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.database import (
    NewDatabase,
    temporary_name,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.facts import TargetFacts, read_target
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.load import read_archive_head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.mark import Attempt
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.plan import Work

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Objects
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verify.options import Options

#: What people read where there is no address.
PRIVATE = "a private server"
_NEWER = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where a drill takes place. ``equipped`` says what was made beforehand on a private server; else it is None."""

    connector: Connector
    maintenance_database: str
    equipped: Equipped | None
    label: str
    bytes_free: int | None


class Drill:
    """One drill while it is carried out."""

    def __init__(
        self, options: Options, manifest: Manifest, *, source: Objects, scratches: Scratches, context: Context
    ) -> None:
        self._options = options
        self._manifest = manifest
        self._source = source
        self._scratches = scratches
        self._context = context
        self._heads: tuple[Head, ...] = ()
        self._token = new_token()

    def run(self) -> dict[str, Any]:
        """Restore, look, drop; returns what was seen. Whatever fails, nothing stays on the server."""
        self._heads = tuple(read_archive_head(self._source, each) for each in self._manifest.archives)
        with self._ground() as ground:
            return self._on(ground)

    def _on(self, ground: Ground) -> dict[str, Any]:
        options = self._options
        with ground.connector.open(ground.maintenance_database) as session:
            if ground.equipped is None:
                require_session(ground.connector, session)
            server = ground.connector.server(session)
            ownership, work, lacking = self._work(ground, server)
            self._begin(ground, server, session_drops=lambda name: NewDatabase(session, name, self._context).drop())
        name = temporary_name(f"drill_{options.name}", self._token)
        building = Building(
            name,
            source=self._source,
            connector=ground.connector,
            maintenance_database=ground.maintenance_database,
            ownership=ownership,
            timeout=options.timeout,
            context=self._context,
        )
        with building.built(work) as built:
            checked = self._check(ground, name, work)
            built.database.drop()
            self._drop_roles(built)
        stand_ins = ground.equipped.stand_ins if ground.equipped is not None else ()
        if ground.equipped is None:
            self._scratches.forget()
        return _facts(ground, server, built, checked, (*work.losses, *stand_ins, *built.losses), lacking)

    def _begin(self, ground: Ground, server: ServerFact, *, session_drops: Callable[[str], None]) -> None:
        """Drop what a killed drill has left on that server, and say what this one is about to make."""
        if ground.equipped is not None:
            return
        for left in self._scratches.left_on(server.system_identifier):
            session_drops(left)
        self._scratches.announce(
            Attempt(
                database=temporary_name(f"drill_{self._options.name}", self._token),
                token=self._token,
                system_identifier=server.system_identifier,
                run_id=self._context.run_id,
            )
        )

    def _work(self, ground: Ground, server: ServerFact) -> tuple[Ownership, Work, tuple[str, ...]]:
        """Everything that is to be known to restore, and what of the backup this server cannot show."""
        heads = self._heads
        manifest, target, ownership, lacking = self._fitted(ground, server)
        checks.check_server(manifest, target)
        needed = frozenset(role for head in heads for role in needed_roles(head, manifest.database, ownership))
        missing = needed - target.roles
        checks.check_rights(target, ownership, missing)
        created = tuple(sorted(missing)) if ownership.roles == "create_nologin" else ()
        owning = frozenset(role for head in heads for role in owners(head, manifest.database, ownership))
        checks.check_owners(owning, target)
        absent = missing - set(created)
        gone = wanted_extensions(heads) - target.extensions.keys()
        shown = show(
            manifest,
            heads,
            [adapt(head, ownership, absent) for head in heads],
            gone if ground.equipped is None else ground.equipped.missing,
            provided=None if ground.equipped is None else ground.equipped.provided,
        )
        places = frozenset(name for head in heads for name in tablespaces(head))
        tool = self._tool(ground, server.major)
        work = Work(
            manifest=shown.manifest,
            heads=heads,
            adaptations=shown.adaptations,
            target=target,
            owners=frozenset(role for role in owning if not role.startswith("pg_")),
            missing_roles=absent,
            roles_to_create=created,
            missing_tablespaces=tuple(sorted(places - target.tablespaces)),
            tool_path=tool.path,
            tool_version=tool.version,
            bytes_free=checks.check_disk(manifest, target, self._options.disk_free, False),
            leftovers=(),
        )
        without = (f"role {role}, which may not be made there" for role in sorted(absent))
        return ownership, work, (*lacking, *shown.lacking, *without)

    def _fitted(self, ground: Ground, server: ServerFact) -> tuple[Manifest, TargetFacts, Ownership, tuple[str, ...]]:
        """The backup, the server and whose the objects become, as far as the server lets them be as they were."""
        with ground.connector.open(ground.maintenance_database) as session:
            target = read_target(session, server)
        ownership = Ownership(roles="create_nologin" if target.may_create_role else "skip")
        if ground.equipped is None:
            return self._manifest, target, ownership, ()
        # Only a superuser is told where the data are; here it is known.
        target = replace(target, free_bytes=ground.bytes_free)
        database, lacking = adapt_locale(self._manifest.database, target)
        # An ordinary role can give objects only to roles that could have made them, which those that own them in the
        # original need not be: all stay with whoever loads. Grants and policies name the roles that they named.
        return replace(self._manifest, database=database), target, replace(ownership, owner=LOADER), lacking

    def _tool(self, ground: Ground, major: int) -> tools.Tool:
        environment = ground.connector.tool_environment()
        bindir = self._options.bindir
        return tools.find("pg_restore", major, bindir=bindir, environment=environment, context=self._context)

    def _check(self, ground: Ground, name: str, work: Work) -> Checked:
        """What is looked at beside the comparison, which was equal by now."""
        options, label = self._options, f"{name} on {ground.label}"
        settings = undisturbed(work)
        with ground.connector.open(name, settings=settings) as session:
            session.prepare_for_work(timedelta(seconds=60))
            constraints = drill_checks.check_constraints(session, self._heads, label)
            looked: tuple[int, int] | None = None
            if options.amcheck:
                looked = drill_checks.run_amcheck(session, label, lambda: self._context.effect("go on checking"))
                if looked is None:
                    self._context.warn(f"amcheck was asked for, and {ground.label} does not have it in the database.")
        held = drill_checks.run_assertions(
            lambda: ground.connector.open(name, settings=settings), options.assertions, options.assertion_timeout, label
        )
        return Checked(
            constraints=constraints,
            indexes=looked[0] if looked else None,
            heaps=looked[1] if looked else None,
            assertions=held,
        )

    def _drop_roles(self, built: Built) -> None:
        for role in reversed(built.roles_created):
            self._context.effect(f"drop role {role}")
            statement = f"DROP ROLE IF EXISTS {quote_identifier(role)}"
            built.database.session.execute(statement, attempted=f"drop role {role}")

    # where

    @contextmanager
    def _ground(self) -> Iterator[Ground]:
        if self._options.drill_server_url is not None:
            way = drill_server(self._options, self._context)
            try:
                yield Ground(
                    connector=way,
                    maintenance_database=self._options.maintenance_database,
                    equipped=None,
                    label=way.endpoint.label,
                    bytes_free=None,
                )
            finally:
                way.close()
            return
        initdb, postgres = programs(self._options, self._manifest, self._context)
        with private_server(initdb, postgres, self._options.scratch_directory, self._context) as server:
            equipped = equip(server, self._manifest, self._heads, amcheck=self._options.amcheck)
            yield Ground(
                connector=server.loader,
                maintenance_database="postgres",
                equipped=equipped,
                label=PRIVATE,
                bytes_free=server.bytes_free,
            )


def _facts(
    ground: Ground,
    server: ServerFact,
    built: Built,
    checked: Checked,
    skipped: tuple[str, ...],
    lacking: tuple[str, ...],
) -> dict[str, Any]:
    """What the drill has shown."""
    return {
        "tables": None,
        "proven": not lacking,
        "not_provable_here": list(lacking),
        "rto_seconds": round(built.durations["load"] + built.durations["compare"], 3),
        "tables_compared": built.comparison.tables,
        "rows_compared": built.comparison.rows,
        "constraints_checked": checked.constraints,
        "indexes_checked": checked.indexes,
        "heaps_checked": checked.heaps,
        "assertions": list(checked.assertions),
        "skipped": list(skipped),
        "server": {"label": ground.label, "version": server.version},
        "durations": built.durations,
    }


def drill_server(options: Options, context: Context) -> Connector:
    """The way to the server that the user has named."""
    params = {"database_url": options.drill_server_url, "connection_fallback": False}
    try:
        return connector(params, context, need_database=False)
    except RunbookError as error:
        raise replace(error, object=error.object.replace("database_url", "drill_server_url")) from None


def require_another_server(options: Options, manifest: Manifest, context: Context) -> str:
    """The server that the user has named, which is not the one that the backup is of unless that is allowed.

    Raises ``drill_on_live_server``.
    """
    way = drill_server(options, context)
    try:
        with way.open(options.maintenance_database) as session:
            reached = way.server(session)
    finally:
        way.close()
    if options.allow_live_server or reached.system_identifier != manifest.server.system_identifier:
        return way.endpoint.label
    raise RunbookError(
        code="drill_on_live_server",
        attempted="test the backup by restoring it",
        object=way.endpoint.label,
        reason="that is the server that the backup was taken from, and a drill could fill its disk",
        remedy="Give drill_server_url another server, leave it out for a private one, or set allow_live_server: true.",
    )


def programs(options: Options, manifest: Manifest, context: Context) -> tuple[tools.Tool, tools.Tool]:
    """initdb and postgres of the backup's major version, or of a later one. Raises ``tool_missing``."""
    wanted = max(manifest.server.major, manifest.restore_by_hand.needs_major)
    missing = None
    for major in range(wanted, wanted + _NEWER + 1):
        try:
            postgres = tools.find("postgres", major, bindir=options.bindir, environment={}, context=context)
            return tools.find(
                "initdb", major, bindir=[str(Path(postgres.path).parent)], environment={}, context=context
            ), postgres
        except RunbookError as error:
            if error.code != "tool_missing":
                raise
            missing = missing or error
    raise RunbookError(
        code="tool_missing",
        attempted="make a private server to restore to",
        object=f"PostgreSQL {wanted}",
        reason="the programs of the server are not installed here" + (f": {missing.reason}" if missing else ""),
        remedy=f"Install postgresql-{wanted} (Debian, Ubuntu), postgresql{wanted}-server (RHEL, Fedora) or "
        f"postgresql@{wanted} (Homebrew), name the directory in bindir, or give drill_server_url a server.",
    )
