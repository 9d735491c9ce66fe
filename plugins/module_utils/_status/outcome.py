# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a run ended, as a playbook tells it (private to ops.runbooks).

Playbooks hand over what they have: the registered result of the task that counted, or what their ``rescue`` kept of a
failure. So this reads generously: anything may be missing, and booleans may come as the texts that AWX makes of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Of what playbooks refuse by themselves, with no failure of a module behind it and no code of their own.
PLAY_CODE = "run_refused"
#: Failures of what was asked for: the same words again can only fail again.
_OF_INPUT = ("confirmation_missing", "invalid_parameter", "target_occupied")
#: What stands in the place of a command that nobody but the reader can know.
CORRECTED = "the same command again, with its inputs corrected"
_TRUE = {"true", "yes", "on", "1", "t", "y"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of one runbook on one host. Texts are '' where they are not known.

    ``summary`` says in a few words what was done, ``found`` what a run that only looks has found, ``waits`` what was
    asked for and has not begun yet, with why and how to get it, ``affected`` whether
    users notice anything, ``command`` how the runbook was called and ``next`` what to call now, where that is not the
    same command again.
    """

    runbook: str = ""
    failed: bool = False
    changed: bool = False
    check: bool = False
    code: str = ""
    message: str = ""
    summary: str = ""
    found: str = ""
    waits: str = ""
    affected: str = ""
    command: str = ""
    next: str = ""

    @property
    def again(self) -> str:
        """What to do after a failure: what is proposed, else the same command, where that can end otherwise."""
        return self.next or (CORRECTED if self.code in _OF_INPUT else self.command)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Outcome:
        """From the option ``outcome``; the keys of a failed task's own result (``msg``, ``failure``) are understood."""
        failure = given.get("failure")
        failure = failure if isinstance(failure, Mapping) else {}
        steps = _steps(given.get("plan"))
        failed = truth(given.get("failed"))
        return cls(
            runbook=_text(given, "runbook"),
            failed=failed,
            changed=truth(given.get("changed")),
            check=truth(given.get("check")),
            code=_text(given, "code") or _text(failure, "code") or (PLAY_CODE if failed else ""),
            message=_text(given, "message") or _text(given, "msg"),
            summary=_text(given, "summary") or steps,
            found=_text(given, "found"),
            waits=_text(given, "waits"),
            affected=_text(given, "affected"),
            command=_text(given, "command"),
            next=_text(given, "next"),
        )


def truth(value: object) -> bool:
    """A boolean that may have become a text on its way; what is neither is false."""
    if isinstance(value, str):
        return value.strip().lower() in _TRUE
    return value is True or (isinstance(value, int) and value != 0)


def _text(given: Mapping[str, Any], key: str) -> str:
    """One line of text; a message of several lines would tear the closing lines apart."""
    value = given.get(key)
    return "" if value is None else " ".join(str(value).split())


def _steps(plan: object) -> str:
    steps = plan.get("steps") if isinstance(plan, Mapping) else None
    return "; ".join(str(step) for step in steps) if isinstance(steps, (list, tuple)) else ""
