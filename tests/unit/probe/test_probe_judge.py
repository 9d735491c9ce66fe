# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What answers are taken for, and what many of them say together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor
from ansible_collections.ops.runbooks.plugins.module_utils._probe.judge import Tally, at, judge, latency, summary
from ansible_collections.ops.runbooks.plugins.module_utils._probe.model import Answer, Probe, read_probes
from hypothesis import given
from hypothesis import strategies as st

from harness.stores import failing

NOW = 1_800_000_000.0


def probe(**changes: Any) -> Probe:
    return replace(Probe(name="health", url="https://app.acme.com/api/health"), **changes)


def answer(**changes: Any) -> Answer:
    made = Answer(seconds=0.1, status=200, headers={"content-type": "application/json"}, body=b'{"status": "ok"}')
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("asked", "got", "reason"),
    [
        (probe(), answer(), ""),
        (probe(), answer(status=500), "it answered 500, expected 200"),
        (probe(status=(401, 403)), answer(status=403), ""),
        (probe(status=(401, 403)), answer(), "it answered 200, expected 401 or 403"),
        (probe(), answer(error="nothing answers there"), "nothing answers there"),
        (probe(contains=("ok",)), answer(), ""),
        (probe(contains=("good",)), answer(), "its body lacks 'good'"),
        (probe(lacks=("ok",)), answer(), "its body has 'ok'"),
        (probe(lacks=("bad",)), answer(cut=True), "its body is too large to say what it lacks"),
        (probe(json={"status": "ok"}), answer(), ""),
        (probe(json={"status": "sick"}), answer(), "its JSON has another status than 'sick'"),
        (probe(json={"db.ok": True}), answer(), "its JSON has no db.ok"),
        (probe(json={"a": 1}), answer(body=b"<html>"), "its body is not JSON"),
        (probe(expect_headers={"content-type": "json$"}), answer(), ""),
        (probe(expect_headers={"content-type": "^text"}), answer(), "the header content-type does not match ^text"),
        (probe(expect_headers={"x-frame-options": "."}), answer(), "the header x-frame-options is missing"),
        (probe(max_latency=0.05), answer(), "it took longer than 0.05 s"),
        (probe(tls_min_days=14), answer(tls_expires=NOW + 30 * 86400), ""),
        (probe(tls_min_days=14), answer(tls_expires=NOW + 3 * 86400), "its certificate ends in 3 days"),
        (probe(tls_min_days=14), answer(), "it has no certificate"),
        (probe(unreachable=True), answer(error="nothing answers there"), ""),
        (probe(unreachable=True), answer(), "it answered 200, and should not be reachable"),
    ],
)
def test_judge(asked: Probe, got: Answer, reason: str) -> None:
    assert judge(asked, got, NOW) == reason


def test_places_in_json() -> None:
    body = {"checks": [{"name": "db", "ok": True}], "a": {"b": 0}}
    assert at(body, "checks[0].ok") is True
    assert at(body, "a.b") == 0
    assert judge(probe(json={"checks[1].ok": True}), answer(body=b'{"checks": []}'), NOW)


def test_percentiles_by_nearest_rank() -> None:
    assert latency([]) == dict.fromkeys(("p50", "p95", "p99", "max", "mean"), None)
    assert latency([0.1]) == {"p50": 100, "p95": 100, "p99": 100, "max": 100, "mean": 100}
    hundred = latency([number / 1000 for number in range(1, 101)])
    assert (hundred["p50"], hundred["p95"], hundred["p99"], hundred["max"]) == (50, 95, 99, 100)


@given(st.lists(st.floats(min_value=0, max_value=1000), min_size=1, max_size=300))
def test_percentiles_are_ordered_and_were_measured(seconds: list[float]) -> None:
    found = latency(seconds)
    values = [found[name] for name in ("p50", "p95", "p99", "max")]
    assert values == sorted(values)  # type: ignore[type-var]
    assert set(values) <= {round(each * 1000, 1) for each in seconds}


def test_a_tally_keeps_numbers_and_few_reasons() -> None:
    tally = Tally(probe(samples=6))
    for got in (answer(), answer(status=500), answer(status=500), answer(), answer(status=502), answer()):
        tally.add(got, NOW)
    said = tally.describe(NOW)
    assert (said["decision"], said["requests"], said["errors"], said["consecutive_errors"]) == ("fail", 6, 3, 2)
    assert said["reasons"][0] == "it answered 500, expected 200 (2 times)"
    assert said["statuses"] == {"200": 3, "500": 2, "502": 1}


def test_all_together() -> None:
    good, short = Tally(probe()), Tally(probe(name="home", samples=3))
    good.add(answer(), NOW)
    short.add(answer(), NOW)
    assert summary([good], NOW)["decision"] == "pass"
    # The time was over before all was asked.
    assert summary([good, short], NOW)["decision"] == "inconclusive"
    short.add(answer(status=500), NOW)
    both = summary([good, short], NOW)
    assert (both["decision"], both["failed"], both["error_rate"]) == ("fail", ["home"], 1 / 3)
    assert both["reasons"] == ["home: it answered 500, expected 200"]


@pytest.mark.parametrize(
    "given_probe",
    [
        {"url": "ftp://app.acme.com"},
        {"url": "https://user:password@app.acme.com"},
        {"url": "http://app.acme.com", "secret_headers": {"Authorization": "Bearer abc"}},
        {"url": "https://app.acme.com:port"},
        {"url": "https://app.acme.com/a b"},
        {"url": "https://app.acme.com", "samples": 0},
        {"url": "https://app.acme.com", "expect_headers": {"a": "("}},
        {"url": "https://app.acme.com", "max_latency": "soon"},
        {"url": "https://app.acme.com", "headers": {"a": "b\nc"}},
    ],
)
def test_bad_probes(given_probe: dict[str, Any]) -> None:
    with failing("invalid_parameter"):
        read_probes([given_probe], 1, Redactor())


def test_names_are_unique_and_secrets_are_known() -> None:
    redactor = Redactor()
    (read,) = read_probes(
        [{"url": "https://app.acme.com/x?y", "secret_headers": {"Authorization": "Bearer kanarienvogel"}}], 3, redactor
    )
    assert (read.name, read.samples, read.status) == ("app.acme.com/x", 3, (200,))
    assert "kanarienvogel" not in redactor.text("it said kanarienvogel")
    with failing("invalid_parameter"):
        read_probes([{"url": "https://app.acme.com"}, {"url": "https://app.acme.com"}], 1, redactor)
    with failing("invalid_parameter"):
        read_probes([], 1, redactor)
