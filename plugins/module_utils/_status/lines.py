# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The six lines with which every run ends, red or green (private to ops.runbooks)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import age, human, iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.lease import LockState
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.stored import Stored
from ansible_collections.ops.runbooks.plugins.module_utils._status.facts import Facts, LastRun, Unknown
from ansible_collections.ops.runbooks.plugins.module_utils._status.launch import repeated
from ansible_collections.ops.runbooks.plugins.module_utils._status.outcome import Outcome

#: Failures that a runbook ends with after it has seen everything through, so that its summary is what was changed.
_EXACT = ("release_rolled_back",)
#: Modules that leave a live database as it is, whatever becomes of them.
_READERS = ("postgres_backup", "postgres_backup_retention", "postgres_backup_verify")


def closing_lines(
    outcome: Outcome | None, facts: Facts, options: str, argv: Sequence[str] = ()
) -> tuple[str, str, str, str, str, str]:
    """Result and code, what was changed, whether production is affected, newest good backup, lock, next command.

    Without an ``outcome`` the last recorded run takes its place. ``options`` are the options of ansible-playbook that
    select this environment and host, such as ``-i inventories/production --limit main``; ``argv`` is how this run was
    called, of which the next command repeats the settings.
    """
    return (
        f"Result: {_result(outcome, facts)}",
        f"Changed: {_changed(outcome, facts)}",
        f"Production affected: {_affected(outcome, facts)}",
        f"Newest good backup: {_backup(facts)}",
        f"Lock: {_lock(facts.lock)}",
        f"Next: {_again(_next(outcome, facts, options), outcome, argv)}",
    )


def _result(outcome: Outcome | None, facts: Facts) -> str:
    if outcome is None:
        return _last_run(facts.last_run)
    if outcome.failed:
        return f"failed ({outcome.code}): {outcome.message}" if outcome.message else f"failed ({outcome.code})"
    if outcome.waits:
        return f"{'check mode: ' if outcome.check else ''}waiting: {outcome.waits}"
    if outcome.changed:
        return "check mode: would change something" if outcome.check else "done"
    if outcome.found:
        return f"{'check mode' if outcome.check else 'done'}: {outcome.found}"
    return "check mode: nothing to do" if outcome.check else "nothing to do"


def _last_run(last: LastRun | Unknown | None) -> str:
    if isinstance(last, Unknown):
        return f"{last}"
    if last is None:
        return "no run is recorded"
    said = {"done": "done", "failed": f"failed ({last.code})", "running": "still running"}
    status = said.get(last.status, "interrupted (killed before its end)")
    when = f", ended {last.ended}" if last.ended else f", started {last.started}"
    return f"last recorded run {last.run_id} ({last.module} {last.identity}{when}): {status}"


def _changed(outcome: Outcome | None, facts: Facts) -> str:
    if outcome is None:
        return _recorded(facts.last_run)
    if not outcome.changed:
        return "nothing"
    if outcome.failed and not (outcome.code in _EXACT and outcome.summary):
        return f"possibly a part of this: {outcome.summary}" if outcome.summary else "possibly something; see Result"
    return ("nothing yet; would " if outcome.check else "") + (outcome.summary or "see the tasks above")


def _recorded(last: LastRun | Unknown | None) -> str:
    if isinstance(last, Unknown):
        return f"{last}"
    return "nothing that is recorded" if last is None else f"see its record, {last.key}"


def _affected(outcome: Outcome | None, facts: Facts) -> str:
    if outcome is not None and outcome.affected:
        return outcome.affected
    if outcome is not None and (outcome.check or not outcome.changed):
        return "no"
    if outcome is None:
        return _affected_before(facts.last_run)
    return f"not known for {outcome.runbook}" if outcome.runbook else "not known"


def _affected_before(last: LastRun | Unknown | None) -> str:
    """Of a run that only looks, which therefore has done nothing itself."""
    if last is None:
        return "no"
    if isinstance(last, LastRun) and last.module.rpartition(".")[2] in _READERS:
        return "no, the last recorded run leaves the live database as it is"
    return "not by this run; the record of the last one says whether it was"


def _backup(facts: Facts) -> str:
    newest = facts.newest
    if isinstance(newest, Unknown):
        return f"{newest}"
    if not facts.expects_backups:
        return "none is expected: the app names no database (app_databases)"
    allowed = human(facts.rpo.total_seconds())
    if newest is None:
        return f"NONE (there should be one younger than {allowed})"
    verdict = f"OLDER than the {allowed} that are allowed" if facts.past_rpo else f"allowed are {allowed}"
    name = f"{newest.database}: {newest.id}" if newest.database else newest.id
    old = f"{name}, {human(age(newest.snapshot_at, facts.now))} old, {newest.state}"
    return f"{old} ({verdict}){_drill(facts)}{_stored(facts)}"


def _stored(facts: Facts) -> str:
    """What there is beside the newest, where it was asked for."""
    return f"; {facts.stored.text(facts.now)}" if isinstance(facts.stored, Stored) else ""


def _drill(facts: Facts) -> str:
    """The age of the last drill, where there was one or should have been."""
    drill, expected = facts.drill, facts.drill_max_age
    allowed = "" if expected is None else human(expected.total_seconds())
    if isinstance(drill, Unknown):
        return f"; last drill {drill}" if expected is not None else ""
    if drill is None:
        return f"; NEVER DRILLED (there should be a drill every {allowed})" if expected is not None else ""
    old = f"; last drill {human(age(drill.at, facts.now))} ago"
    if not drill.like_newest:
        return f"{old} (of a backup that is NOT encrypted to all recipients of this one)"
    return old + (f" (OLDER than the {allowed} that are allowed)" if facts.past_drill_age else "")


def _lock(lock: LockState | Unknown) -> str:
    if isinstance(lock, Unknown):
        return f"{lock}"
    if lock.state == "free":
        return "free"
    since = f" since {_second(lock.since)}" if lock.since else ""
    until = _second(lock.until) if lock.until else "unknown"
    if lock.state == "held":
        return f"held by {lock.holder}, run {lock.run_id}{since}, until {until} unless renewed"
    return f"left behind by {lock.holder}, run {lock.run_id}{since}; anyone may take it since {until}"


def _second(moment: datetime) -> str:
    return iso(moment.replace(microsecond=0))


def _next(outcome: Outcome | None, facts: Facts, options: str) -> str:
    """One command to paste, which can do what this run has not done; where nothing is due, that."""
    if outcome is not None and outcome.next:
        return outcome.next
    if outcome is not None and outcome.failed and outcome.runbook:
        if outcome.code == "backup_not_found" and facts.newest is None and not facts.is_app:
            return _command("backup", options)
        return outcome.again or _command(outcome.runbook, options)
    if facts.is_app:
        return _command("status" if outcome is not None and outcome.runbook == "verify" else "verify", options)
    if facts.past_rpo or (outcome is None and _to_repeat(facts.last_run)):
        return _command("backup", options)
    return _command("status", options) if outcome is not None else _due(facts, options)


def _due(facts: Facts, options: str) -> str:
    """What a status leads to whose backups are young enough."""
    if facts.past_rpo is None or facts.past_drill_age is None:
        return _command("status", options)
    if facts.drill is None or facts.past_drill_age:
        return _command("drill", options)
    return "nothing is due"


def _again(text: str, outcome: Outcome | None, argv: Sequence[str]) -> str:
    """A command, with the settings that this one was given; what is none stays as it is."""
    this = outcome.command if outcome is not None else ""
    options = repeated(argv, text if text in (this, this.removesuffix(" --check")) else "")
    return f"{text} {options}" if options and text.startswith("ansible-playbook ") else text


def _to_repeat(last: LastRun | Unknown | None) -> bool:
    """Whether the last run was a backup that did not come to its end; what else to repeat only its caller knows."""
    return isinstance(last, LastRun) and last.module.endswith("postgres_backup") and last.status in _UNFINISHED


def _command(runbook: str, options: str) -> str:
    return " ".join(filter(None, ["ansible-playbook", f"ops.runbooks.{runbook}", options]))


_UNFINISHED = ("failed", "interrupted")
