# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a release of an app comes to (private to ops.runbooks); pure.

The phase is where a run has to go on: ``build``, ``promote``, ``gate`` (it serves, and nobody knows yet whether it is
good), ``rollback`` (its gate failed, and the run died on the way back), ``failed`` (it is back, and the record is not
closed), ``done``. It follows from what serves, from the record of the release and from the moves of production, so that
the same command again, after whatever happened, goes on where the last one was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Plan
from ansible_collections.ops.runbooks.plugins.module_utils._release.digest import continues, digest_of, with_migrations
from ansible_collections.ops.runbooks.plugins.module_utils._release.elsewhere import Elsewhere
from ansible_collections.ops.runbooks.plugins.module_utils._release.releases import Recorded
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import Deployment, Project
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.target import (
    Intent,
    Outdated,
    outdated_by,
    previous,
    rolled_away,
)

Phase = Literal["build", "promote", "gate", "rollback", "failed", "done"]
#: Phases in which production still has to be brought to the release.
AHEAD = ("build", "promote")
#: A pending migration of a database as modules are given it.
MIGRATION = {
    "database": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "checksum": {"type": "str"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One pending migration of a database."""

    database: str
    name: str
    checksum: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be released, and by which rules. ``retry`` is why to go past a verdict on record, ``no_way_back`` why
    to go on where nothing can take its place.

    ``build`` is what the caller would build from.
    """

    environment: str
    name: str
    release: str
    build: str = "none"
    migrations: tuple[Migration, ...] = ()
    env_changes: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    forbidden: Mapping[str, str] = field(default_factory=dict)
    outdated: tuple[Outdated, ...] = ()
    ungated_pushes: str = "refuse"
    retry: str = ""
    no_way_back: str = ""
    attempt_max_age: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The world. ``deployment`` is None where the release has to be built; ``moves`` and ``releases`` newest first.

    ``output`` is the mark of what was built here, where that is still to become a deployment.
    ``unfinished`` are runs that began the release for several apps and did not come to its end: it is whole or it is
    not, so that what was good in one of them is decided again, with the others. ``elsewhere`` are apps that serve it
    and are not part of the run.
    """

    project: Project
    now: datetime
    deployment: Deployment | None = None
    output: str = ""
    candidates: tuple[Deployment, ...] = ()
    releases: tuple[Recorded, ...] = ()
    moves: tuple[Intent, ...] = ()
    variables: frozenset[str] = frozenset()
    hidden: int = 0
    unfinished: frozenset[str] = frozenset()
    elsewhere: tuple[Elsewhere, ...] = ()

    @property
    def serving(self) -> str:
        """What serves production, '' where nothing does."""
        return self.project.production_id

    @property
    def builds(self) -> tuple[Deployment, ...]:
        """What could take the place of the release: what serves, and what has served."""
        return (*((self.project.production,) if self.project.production is not None else ()), *self.candidates)

    @property
    def record(self) -> Recorded | None:
        """What is on record of the deployment."""
        own = self.deployment.id if self.deployment is not None else ""
        return next((each for each in self.releases if own and each.deployment_id == own), None)

    @property
    def rejoins(self) -> bool:
        """Whether it was good in a run that did not come to the end of the release."""
        record = self.record
        return record is not None and record.passed and record.began_in in self.unfinished - {""}

    @property
    def undecided(self) -> bool:
        """Whether an attempt is on record that is not over."""
        record = self.record
        return record is not None and (record.open or self.rejoins)


def rolled_back(found: Found) -> Intent | None:
    """The rollback that has left the release, where no later move has brought it back.

    While an attempt is open only moves that are newer than its beginning are about it.
    """
    record = found.record
    since = record.moves_before if record is not None and found.undecided else 0
    own = found.deployment.id if found.deployment is not None else ""
    for each in found.moves:
        if not own or each.number <= since:
            return None
        if each.state != "failed" and own in (each.from_id, each.to_id):
            return each if (each.kind, each.from_id) == ("rollback", own) else None
    return None


def phase_of(found: Found) -> Phase:
    """Where a run goes on; what is on record against it is :func:`verdict`'s."""
    if found.deployment is None:
        return "build"
    record, back = found.record, rolled_back(found)
    if back is not None and back.state == "open":
        return "rollback"
    if found.serving != found.deployment.id:
        return "failed" if back is not None and found.undecided else "promote"
    return "done" if record is not None and record.passed and not found.rejoins else "gate"


def verdict(found: Found) -> str:
    """Why the release is not to be released again, in a clause; '' where nothing says so."""
    record, back = found.record, rolled_back(found)
    if record is not None and record.bad:
        return record.bad
    if record is not None and record.gate == "fail":
        return "its gate failed"
    if back is not None and back.state != "open" and found.serving != back.from_id:
        return f"it was rolled back{f': {back.reason}' if back.reason else ''}"
    return ""


def way_back(wanted: Wanted, found: Found) -> tuple[str, str]:
    """What is to serve where the gate fails, and whether that is ``good``, ``baseline``, ``previous`` or ``none``.

    Good is what serves where it passed its gate, else the newest release that did; with none on record, what serves
    before this run is the baseline. What was left by a rollback is none of these, since somebody saw it fail.
    """
    own = found.deployment.id if found.deployment is not None else ""
    barred = {own, "", *wanted.forbidden, *(each.deployment_id for each in found.releases if each.bad), *_left(found)}
    barred |= {each.id for each in found.builds if outdated_by(wanted.outdated, each.created_at)}
    usable = {each.id for each in found.candidates} | {found.serving}
    usable -= barred
    record = found.record
    kinds = {each.deployment_id: "good" for each in found.releases if each.passed}
    if record is not None and found.undecided and record.rollback_to in usable:
        return record.rollback_to, kinds.get(record.rollback_to, "baseline")
    if found.serving in usable and found.serving in kinds:
        return found.serving, "good"
    for each in found.releases:
        if each.passed and each.deployment_id in usable:
            return each.deployment_id, "good"
    if found.serving in usable:
        return found.serving, "baseline"
    for each in found.releases:
        if each.baseline and each.deployment_id in usable:
            return each.deployment_id, "baseline"
    if found.deployment is not None and found.serving == own:
        known = dict.fromkeys(barred, "")
        if before := previous(found.deployment, found.project, found.candidates, known):
            return before, "previous"
    return "", "none"


def _left(found: Found) -> set[str]:
    """What was rolled back and not brought back; what serves again was, whoever did it."""
    away = rolled_away(found.moves)
    return {each for each, move in away.items() if move.state == "open" or each != found.serving}


def attempt_of(wanted: Wanted, found: Found, phase: Phase) -> tuple[int, bool]:
    """The number of the attempt, and whether it goes on with one that was interrupted.

    One that was interrupted long ago before it moved anything begins anew, so that its backup is one of today.
    """
    record = found.record
    last = max((each.attempt for each in found.releases if each.release == wanted.release), default=0)
    if record is None or not found.undecided:
        return (last, False) if phase == "done" else (last + 1, False)
    young = bool(record.started_at) and found.now - parse_iso(record.started_at) <= wanted.attempt_max_age
    return (record.attempt, True) if young or phase != "promote" else (max(last, record.attempt) + 1, False)


def plan_release(wanted: Wanted, found: Found) -> Plan:
    """Decide. Raises ``release_bad``, ``ungated_pushes``, ``variables_missing``, ``rollback_target_missing``."""
    phase = phase_of(found)
    rollback_to, kind = way_back(wanted, found)
    if phase == "rollback" and (back := rolled_back(found)) is not None:
        rollback_to = back.to_id
    attempt, resumes = attempt_of(wanted, found, phase)
    _check_way_back(wanted, found, phase, kind)
    if phase in (*AHEAD, "gate") and not resumes:
        _check(wanted, found, phase, kind)
    if phase in AHEAD:
        _check_variables(wanted, found)
    deployment, record = found.deployment, found.record
    back = rolled_back(found)
    label = re.sub(r"[^A-Za-z0-9_-]", "-", wanted.release)[:100]
    begun = with_migrations(wanted, record.pending if record is not None else {})
    result = {
        "id": label,
        "release": wanted.release,
        "phase": phase,
        "deployment": deployment.describe() if deployment is not None else None,
        "serving": found.serving or None,
        "rollback_to": rollback_to or None,
        "rollback_kind": kind,
        "attempt": attempt,
        "resumes": resumes,
        "moves_before": found.moves[0].number if found.moves else 0,
        "baseline": kind == "baseline" and rollback_to == found.serving,
        "digest": digest_of(wanted, found, rollback_to, attempt),
        "continues": resumes and continues(wanted, found, rollback_to, attempt, begun),
        "approved_digest": record.digest if resumes and record is not None else "",
        "began_in": record.began_in if record is not None else "",
        "elsewhere": [each.describe() for each in found.elsewhere],
        "reason": _reason(phase, back, rejoins=found.rejoins),
        "auto_assign": found.project.assigns,
        "repository": found.project.repository or None,
        "branch": found.project.production_branch or None,
    }
    steps = _steps(wanted, found, phase, rollback_to)
    return Plan(
        changed=False,
        result=result,
        steps=steps,
        irreversible=tuple(
            f"Migration {each.name} of {each.database} stays where the release is rolled back."
            for each in wanted.migrations
            if phase in AHEAD
        ),
        warnings=_warnings(wanted, found, phase, kind),
    )


def _check(wanted: Wanted, found: Found, phase: Phase, kind: str) -> None:
    """What stands against an attempt that has not begun."""
    if (bad := verdict(found)) and not wanted.retry:
        serves = found.deployment is not None and found.serving == found.deployment.id
        then = (
            "Roll it back with ops.runbooks.rollback."
            if serves
            else "Release another one, or say why to try this one again with -e break_glass=..."
        )
        raise _refused("release_bad", wanted, f"{bad}{', and it serves production' if serves else ''}", then)
    if phase not in AHEAD:
        return
    project = found.project
    if project.assigns and project.production_branch and wanted.ungated_pushes == "refuse":
        raise _refused(
            "ungated_pushes",
            wanted,
            f"every push to {project.production_branch} takes the production domains by itself, past any gate",
            "Switch off the automatic assignment of production domains in the project's settings (Environments), "
            "or set deploy_ungated_pushes to accept.",
        )
    if kind == "none" and found.serving and not wanted.retry and not wanted.no_way_back:
        raise _refused(
            "rollback_target_missing",
            wanted,
            "nothing could take its place should its gate fail",
            "Let a release that works serve first, or say why to go on without a way back with -e break_glass=...",
        )


def _check_way_back(wanted: Wanted, found: Found, phase: Phase, kind: str) -> None:
    """Where the only one is a build whose secrets are gone, say which; of an attempt that is gone on with, too."""
    if phase not in AHEAD or kind != "none" or wanted.retry or wanted.no_way_back:
        return
    lost, _kind = way_back(replace(wanted, outdated=()), found)
    for each in found.builds:
        if each.id == lost:
            raise _refused(
                "deployment_outdated",
                wanted,
                f"{lost}, its way back, may not serve again: {outdated_by(wanted.outdated, each.created_at)}",
                "Build that commit again with vercel_deployment (redeploy) and promote it first, or say why to go on "
                "without a way back with -e break_glass=...",
            )


def _check_variables(wanted: Wanted, found: Found) -> None:
    if missing := [name for name in wanted.required if name not in found.variables]:
        raise _refused(
            "variables_missing",
            wanted,
            f"production lacks the environment variables {', '.join(missing)}",
            "Set them for production in Vercel, then run the same command again.",
        )


def _refused(code: str, wanted: Wanted, reason: str, remedy: str) -> RunbookError:
    return RunbookError(
        code=code,
        attempted=f"release {wanted.release}",
        object=f"{wanted.environment}/{wanted.name}",
        reason=reason,
        remedy=remedy,
    )


def _reason(phase: Phase, back: Intent | None, *, rejoins: bool) -> str:
    undecided = "it serves production and was good, and the run ended before the whole release was decided"
    said = {
        "done": "it serves production, and its gate was passed",
        "gate": undecided if rejoins else "it serves production, and no passed gate is on record",
        "rollback": "a run ended while it rolled the release back",
        "failed": "it was rolled back, and the run ended before it could say so",
        "promote": "it is built, and does not serve",
        "build": "it is not built yet",
    }[phase]
    return f"{said}: {back.reason}" if phase in ("rollback", "failed") and back is not None and back.reason else said


def _steps(wanted: Wanted, found: Found, phase: Phase, rollback_to: str) -> tuple[str, ...]:
    """In the order in which they are done."""
    name = found.deployment.name if found.deployment is not None else "what was built"
    steps = [f"build {wanted.release} for production, without traffic ({wanted.build})"] if phase == "build" else []
    if phase in AHEAD:
        for database in sorted({each.database for each in wanted.migrations}):
            names = [each.name for each in wanted.migrations if each.database == database]
            steps.append(f"back up {database}")
            steps.append(f"apply {len(names)} expand migrations to {database}: {', '.join(names)}")
        steps.append(f"ask {name} at its own address for what every user needs")
        steps.append(f"promote production from {found.serving or 'nothing'} to {name}, without a build")
    if phase in (*AHEAD, "gate"):
        then = f"roll production back to {rollback_to}" if rollback_to else "be red, since nothing can take its place"
        steps.append(f"hold the gate at the production address; where it fails, {then}")
        steps.append("record the release as good where it is passed")
    if phase == "rollback":
        steps.append(f"finish the rollback of production to {rollback_to}")
    if phase in ("rollback", "failed"):
        steps.append(f"record the release {wanted.release} as bad")
    return (*steps, *(each.step() for each in found.elsewhere if steps))


def _warnings(wanted: Wanted, found: Found, phase: Phase, kind: str) -> tuple[str, ...]:
    said = []
    if phase in (*AHEAD, "gate") and wanted.retry and (bad := verdict(found)):
        said.append(f"{wanted.release} is released again although {bad} (break-glass: {wanted.retry}).")
    if phase in (*AHEAD, "gate") and kind == "none":
        why = f": {wanted.no_way_back}" if wanted.no_way_back else ""
        said.append(f"Nothing can take its place should its gate fail{why}.")
    if phase in AHEAD and found.project.paused:
        said.append("The project is paused: production answers nobody until that ends.")
    if phase in AHEAD and wanted.required and found.hidden:
        said.append(f"{found.hidden} environment variables of production cannot be seen with this token.")
    said += [each.warning() for each in found.elsewhere if not each.decided]
    return tuple(said)


def read_migrations(given: Sequence[Mapping[str, Any]]) -> tuple[Migration, ...]:
    """From the option ``migrations``."""
    return tuple(
        Migration(database=str(each["database"]), name=str(each["name"]), checksum=str(each.get("checksum") or ""))
        for each in given
    )
