# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the run was launched (private to ops.runbooks), as far as the next command to paste needs it again; pure.

Plays know their inputs, inventories and host, and cannot know which settings came by ``-e``. The command line of the
controller does. Everything there is public on its machine already, yet what may be a secret is not repeated.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import masked

#: Settings of the environment; inputs (``backup``, ``to``, ...) are the play's to repeat.
_SETTING = "runbooks_"
_RUNBOOK = re.compile(r"ops\.runbooks\.(?P<name>\w+)")
_SECRET = re.compile(r"secret|token|password|access_key|webhook|heartbeat")
#: What ``-e name=value`` carries unharmed: ansible splits it at blanks and takes quotes away.
_PLAIN = re.compile(r"[A-Za-z0-9_.,:/@%+-]+")
#: Where AWX lays the variables of a job, which is gone when somebody reads the line.
_OF_AWX = "@/runner/"


def repeated(argv: Sequence[str], same: str = "") -> str:
    """The options to add to the next command: variable files, and settings that were given one by one.

    ``same`` is that command where it is this one again; then settings of its runbook (``restore_owner``, ...) that it
    has not got yet count too. To another command they mean nothing.
    """
    return " ".join(f"-e {shlex.quote(each)}" for value in _extra(argv) for each in _kept(value, same))


def _extra(argv: Sequence[str]) -> Iterator[str]:
    """Every value of ``-e`` and ``--extra-vars``, in each of the forms in which both can be written."""
    words = iter(argv)
    for word in words:
        if word in ("-e", "--extra-vars"):
            yield next(words, "")
        elif word.startswith("--extra-vars="):
            yield word.partition("=")[2]
        elif word.startswith("-e") and not word.startswith("--"):
            yield word[2:]


def _kept(value: str, same: str) -> Iterator[str]:
    if value.startswith("@"):
        if not value.startswith(_OF_AWX):
            yield value
        return
    for name, setting in _variables(value).items():
        text = str(setting)
        # What would be masked is not repeated at all: with the mask in it the command would be another one.
        secret = _SECRET.search(name) or masked(text) != text
        if (name.startswith(_SETTING) or _own(name, same)) and not secret:
            plain = isinstance(setting, str) and _PLAIN.fullmatch(text)
            yield f"{name}={text}" if plain else json.dumps({name: setting}, ensure_ascii=False)


def _own(name: str, same: str) -> bool:
    runbook = _RUNBOOK.search(same)
    return (
        runbook is not None
        and name.startswith(f"{runbook['name']}_")
        and not re.search(rf"\b{re.escape(name)}\b", same)
    )


def _variables(value: str) -> Mapping[str, Any]:
    """What one ``-e`` sets; nothing where it is in a form that only ansible reads (YAML)."""
    try:
        if value.startswith("{"):
            found = json.loads(value)
            return found if isinstance(found, dict) else {}
        pairs = (word.partition("=") for word in shlex.split(value))
        return {name: text for name, sign, text in pairs if sign}
    except ValueError:
        return {}
