# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What building a database from a backup takes (private to ops.runbooks): read, and refused where something lacks.

Everything that would make the restore fail later fails here, with nothing created.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._postgres import tools
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector, Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Manifest, ServerFact
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.pooler import require_session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore import checks
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import (
    Adaptation,
    Ownership,
    adapt,
    needed_roles,
    owners,
    tablespaces,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.facts import TargetFacts, read_target
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.load import read_archive_head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.plan import Work

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What the caller wants of it. ``disk_free`` is stated in bytes where the server cannot be asked."""

    ownership: Ownership
    bindir: tuple[str, ...] = ()
    disk_free: int | None = None
    protected: bool = False
    creates_database: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The part of a backup that is to be restored: what its manifest promises of that, and the entries of each archive.

    ``losses`` says in words what of that part does not come back.
    """

    manifest: Manifest
    heads: tuple[Head, ...]
    losses: tuple[str, ...] = ()


def prepare(
    manifest: Manifest,
    demands: Demands,
    *,
    source: Objects,
    connector: Connector,
    session: Session,
    server: ServerFact,
    context: Context,
    share: Callable[[tuple[Head, ...]], Share] | None = None,
) -> Work:
    """Everything that must hold, in the order in which a user can do something about it.

    ``session`` is in the maintenance database. The work has no leftovers yet: whose they are, the caller knows.
    ``share`` chooses the part that is restored; what only the rest of the archives needs is then not asked for.
    """
    require_session(connector, session)
    target = read_target(session, server)
    checks.check_server(manifest, target)
    whole = tuple(read_archive_head(source, archive) for archive in manifest.archives)
    part = Share(manifest=manifest, heads=whole) if share is None else share(whole)
    backup, manifest, heads = manifest, part.manifest, part.heads
    checks.check_extensions(heads, target)
    owning = frozenset(role for head in heads for role in owners(head, manifest.database, demands.ownership))
    missing = _missing_roles(manifest, heads, target, demands)
    checks.check_owners(owning, target)
    created = sorted(missing) if demands.ownership.roles == "create_nologin" else []
    free = checks.check_disk(manifest, target, demands.disk_free, demands.protected)
    environment = connector.tool_environment()
    tool = tools.find("pg_restore", server.major, bindir=demands.bindir, environment=environment, context=context)
    absent = missing - set(created)
    wanted_tablespaces = frozenset(name for head in heads for name in tablespaces(head))
    return Work(
        manifest=manifest,
        heads=whole,
        adaptations=tuple(
            _only(adapt(head, demands.ownership, absent), head, every) for head, every in zip(heads, whole, strict=True)
        ),
        target=target,
        owners=frozenset(role for role in owning if not role.startswith("pg_")),
        missing_roles=absent,
        roles_to_create=tuple(created),
        missing_tablespaces=tuple(sorted(wanted_tablespaces - target.tablespaces)),
        tool_path=tool.path,
        tool_version=tool.version,
        bytes_free=free,
        warnings=(*checks.locale_warnings(manifest, target), *checks.extension_warnings(manifest, target)),
        left_out=part.losses,
        whole=None if share is None else backup,
    )


def _only(adaptation: Adaptation, head: Head, whole: Head) -> Adaptation:
    """Without the entries of the archive that are not in the part that is restored."""
    if head is whole:
        return adaptation
    kept = {entry.dump_id for entry in head.entries}
    others = frozenset(entry.dump_id for entry in whole.entries if entry.dump_id not in kept)
    return replace(adaptation, left_out=adaptation.left_out | others)


def _missing_roles(
    manifest: Manifest, heads: tuple[Head, ...], target: TargetFacts, demands: Demands
) -> frozenset[str]:
    ownership = demands.ownership
    needed = frozenset(role for head in heads for role in needed_roles(head, manifest.database, ownership))
    missing = needed - target.roles
    checks.check_rights(target, ownership, missing, creates_database=demands.creates_database)
    checks.check_roles(manifest, target, ownership, missing)
    checks.check_policies(manifest, heads, target)
    return missing
