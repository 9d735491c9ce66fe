# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Launch inputs (private to ops.runbooks): whether what was typed after ``-e`` can be what was meant.

Ansible takes any name, and any word where yes or no is asked for. A slip of the pen would leave a default in force, and
the run would do something else than was asked of it, green.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

#: What an input takes: any text, yes or no (one word each), or one of a few words.
Takes = Sequence[str]
ANY, SWITCH = "any", "switch"

#: Those of ansible's own filter ``bool``; it takes every other word for no.
_SWITCHED = {"yes", "on", "true", "1", "no", "off", "false", "0"}
#: What ansible keeps the words in that it could not take apart into a name and a value.
_WITHOUT_VALUE = "_raw_params"
#: Names that are given by ansible and by who launches a job.
_OTHERS = ("ansible_", "awx_", "tower_", "molecule_", "runbooks_")
#: In names of at least so many letters a hasty hand slips twice; in those below the second one not with two wrong
#: letters, for ``region`` is no slip of ``reason``.
_TWICE, _LONG = 6, 8


def mistaken_names(
    runbook: str, inputs: Mapping[str, Takes], given: Mapping[str, object], others: Callable[[], Collection[str]]
) -> list[str]:
    """A sentence for each name that was given, is no input of the runbook, and is near to one.

    ``others`` says which other variables there are; it is asked only where a name is near, since that takes time.
    """
    found = []
    for name, value in given.items():
        if name == _WITHOUT_VALUE:
            found.append(_without_value(str(value), inputs))
        elif _stray(name, inputs) and (meant := nearest(name, inputs)) and name not in others():
            found.append(
                f"Could not begin, since {name} is no input of {runbook}: did you mean {meant}? "
                "Correct its name, or take it away."
            )
    return found


def _stray(name: str, inputs: Mapping[str, Takes]) -> bool:
    return name not in inputs and not name.startswith(_OTHERS)


def _without_value(words: str, inputs: Mapping[str, Takes]) -> str:
    """It is repeated only where it is nearly an input: else it may be a value, even a secret one."""
    meant = nearest(words, inputs)
    if not meant:
        return (
            "Could not begin, since one -e gives no value. Write it as -e name=value, and a value with blanks in "
            "quotes of its own: -e \"name='two words'\"."
        )
    value = "yes" if inputs[meant] == SWITCH else "..."
    return f"Could not begin, since -e {words} gives no value. Write -e {meant}={value}."


def mistaken_values(values: Iterable[tuple[str, Takes, object]]) -> list[str]:
    """A sentence for each input, what it takes and its value, where that is none of these."""
    found = []
    for name, takes, value in values:
        text = "" if value is None else str(value)
        if text == "" or takes == ANY:
            continue
        words = sorted(_SWITCHED) if takes == SWITCH else list(takes)
        if (text.lower() if takes == SWITCH else text) not in words:
            known = "yes or no" if takes == SWITCH else " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
            found.append(f"Could not make sense of {name}={text}: {name} is {known}. Correct it.")
    return found


def nearest(name: str, known: Collection[str]) -> str:
    """The one of ``known`` that ``name`` was meant for, or nothing."""
    near = [(distance(_plain(name), _plain(each)), each) for each in known if _is_near(_plain(name), _plain(each))]
    return min(near)[1] if near else ""


def _is_near(typed: str, meant: str) -> bool:
    slips = distance(typed, meant)
    wrong = max((Counter(typed) - Counter(meant)).total(), (Counter(meant) - Counter(typed)).total())
    return slips <= 1 or (slips == 2 and len(meant) >= _TWICE and (wrong <= 1 or len(meant) >= _LONG))


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def distance(one: str, other: str) -> int:
    """How many letters are too many, missing, wrong, or swapped with the next one (Damerau and Levenshtein)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, start=1):
        earlier, before, row = before, row, [at]
        for to, opposite in enumerate(other, start=1):
            slips = min(before[to] + 1, row[to - 1] + 1, before[to - 1] + (letter != opposite))
            if at > 1 and to > 1 and letter == other[to - 2] and one[at - 2] == opposite:
                slips = min(slips, earlier[to - 2] + 1)
            row.append(slips)
    return row[-1]
