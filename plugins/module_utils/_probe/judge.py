# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether answers are what was expected, and what many of them say together (private to ops.runbooks); pure."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso
from ansible_collections.ops.runbooks.plugins.module_utils._probe.model import Answer, Probe

#: Reasons that are told of one probe; many samples of a sick service say the same.
_REASONS = 5
_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_MISSING = object()


@dataclass(slots=True)
class Tally:
    """What is kept of the samples of one probe: no answer, only numbers and a few reasons."""

    probe: Probe
    seconds: list[float] = field(default_factory=list)
    errors: int = 0
    run: int = 0
    longest_run: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    tls_expires: float | None = None

    def add(self, answer: Answer, now: float) -> str:
        """Count one answer; why it is not what was expected, '' where it is."""
        reason = judge(self.probe, answer, now)
        self.statuses["none" if answer.error else str(answer.status)] += 1
        self.seconds.append(answer.seconds)
        self.tls_expires = answer.tls_expires if answer.tls_expires is not None else self.tls_expires
        self.errors += bool(reason)
        self.run = self.run + 1 if reason else 0
        self.longest_run = max(self.longest_run, self.run)
        if reason and (reason in self.reasons or len(self.reasons) < _REASONS):
            self.reasons[reason] += 1
        return reason

    def describe(self, now: float) -> dict[str, Any]:
        """For results."""
        count = len(self.seconds)
        days = (self.tls_expires - now) / 86400 if self.tls_expires is not None else None
        return {
            "name": self.probe.name,
            "url": self.probe.url.partition("?")[0],
            "decision": decision(count, self.probe.samples, self.errors),
            "requests": count,
            "errors": self.errors,
            "error_rate": self.errors / count if count else None,
            "consecutive_errors": self.longest_run,
            "statuses": dict(sorted(self.statuses.items())),
            "latency": latency(self.seconds),
            "tls_expires_at": _moment(self.tls_expires),
            "tls_days": math.floor(days) if days is not None else None,
            "reasons": [f"{text} ({times} times)" if times > 1 else text for text, times in self.reasons.most_common()],
        }


def decision(made: int, wanted: int, errors: int) -> str:
    """Any error fails; fewer samples than were wanted, without an error, prove nothing."""
    if errors:
        return "fail"
    return "pass" if made >= wanted else "inconclusive"


def judge(probe: Probe, answer: Answer, now: float) -> str:
    """The first thing in which an answer is not what was expected, as a clause; '' where it is."""
    if probe.unreachable:
        return "" if answer.error else f"it answered {answer.status}, and should not be reachable"
    if answer.error:
        return answer.error
    if answer.status not in probe.status:
        return f"it answered {answer.status}, expected {' or '.join(map(str, probe.status))}"
    for check in (_headers, _body, _json):
        if reason := check(probe, answer):
            return reason
    if probe.max_latency is not None and answer.seconds > probe.max_latency:
        # Without the measured time: each would be a reason of its own.
        return f"it took longer than {probe.max_latency:g} s"
    return _tls(probe, answer, now)


def _headers(probe: Probe, answer: Answer) -> str:
    for name, pattern in probe.expect_headers.items():
        found = answer.headers.get(name)
        if found is None:
            return f"the header {name} is missing"
        if not re.search(pattern, found):
            return f"the header {name} does not match {pattern}"
    return ""


def _body(probe: Probe, answer: Answer) -> str:
    for text in probe.contains:
        if text.encode() not in answer.body:
            return f"its body lacks {text!r}{' in the part that was kept' if answer.cut else ''}"
    for text in probe.lacks:
        if text.encode() in answer.body:
            return f"its body has {text!r}"
    return "its body is too large to say what it lacks" if probe.lacks and answer.cut else ""


def _json(probe: Probe, answer: Answer) -> str:
    if not probe.json:
        return ""
    try:
        body = json.loads(answer.body)
    except ValueError:
        return "its body is not JSON"
    for path, wanted in probe.json.items():
        found = at(body, path)
        if found is _MISSING:
            return f"its JSON has no {path}"
        if found != wanted and str(found) != str(wanted):
            return f"its JSON has another {path} than {wanted!r}"
    return ""


def _tls(probe: Probe, answer: Answer, now: float) -> str:
    if probe.tls_min_days is None:
        return ""
    if answer.tls_expires is None:
        return "it has no certificate"
    days = math.floor((answer.tls_expires - now) / 86400)
    return f"its certificate ends in {days} days" if days < probe.tls_min_days else ""


def at(body: Any, path: str) -> Any:
    """What stands at ``checks[0].status``; a mark of its own where nothing does."""
    for key, index in _PART.findall(path):
        if index and isinstance(body, list) and int(index) < len(body):
            body = body[int(index)]
        elif key and isinstance(body, Mapping) and key in body:
            body = body[key]
        else:
            return _MISSING
    return body


def latency(seconds: Sequence[float]) -> dict[str, float | None]:
    """Percentiles by nearest rank, in milliseconds: of few samples the highest ones are the slowest."""
    ordered = sorted(seconds)
    if not ordered:
        return dict.fromkeys(("p50", "p95", "p99", "max", "mean"), None)
    ranks = {f"p{part}": ordered[max(0, math.ceil(len(ordered) * part / 100) - 1)] for part in (50, 95, 99)}
    named = {**ranks, "max": ordered[-1], "mean": sum(ordered) / len(ordered)}
    return {name: round(value * 1000, 1) for name, value in named.items()}


def summary(tallies: Sequence[Tally], now: float) -> dict[str, Any]:
    """The object ``probe``: all samples together, and each probe."""
    results = [each.describe(now) for each in tallies]
    seconds = [value for each in tallies if not each.probe.unreachable for value in each.seconds]
    requests, errors = sum(each["requests"] for each in results), sum(each["errors"] for each in results)
    decisions = [each["decision"] for each in results]
    return {
        "decision": next((word for word in ("fail", "inconclusive") if word in decisions), "pass"),
        "requests": requests,
        "errors": errors,
        "error_rate": errors / requests if requests else None,
        "consecutive_errors": max((each["consecutive_errors"] for each in results), default=0),
        "latency": latency(seconds),
        "failed": [each["name"] for each in results if each["decision"] == "fail"],
        "reasons": [f"{each['name']}: {each['reasons'][0]}" for each in results if each["reasons"]],
        "results": results,
    }


def _moment(seconds: float | None) -> str | None:
    return iso(datetime.fromtimestamp(int(seconds), UTC)) if seconds is not None else None
