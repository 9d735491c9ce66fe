# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""http_probe and slo_gate against web servers that behave well and badly, and against PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from harness.modules import ModuleRunner
from harness.website import Website, website

if TYPE_CHECKING:
    from harness.servers import Database

CLOSED = "http://127.0.0.1:9/"


@pytest.fixture(scope="module")
def plain() -> Iterator[Website]:
    with website() as site:
        yield site


def test_what_is_expected(run_module: ModuleRunner, plain: Website) -> None:
    """Good, refused as it should be, and each kind of bad, in one task that does not fail."""
    admin = {"url": f"{plain.url}/admin"}
    probes: dict[str, tuple[dict[str, Any], str]] = {
        "home": ({"url": plain.url, "contains": ["welcome"], "expect_headers": {"X-Frame-Options": "DENY"}}, ""),
        "health": ({"url": f"{plain.url}/health", "json": {"status": "ok", "checks[0].ok": True}}, ""),
        "closed": ({**admin, "status": [401, 403]}, ""),
        "allowed": ({**admin, "secret_headers": {"Authorization": "Bearer kanarienvogel"}}, ""),
        "followed": ({"url": f"{plain.url}/away", "redirects": 1, "json": {"status": "ok"}}, ""),
        "nobody": ({"url": CLOSED, "unreachable": True}, ""),
        "head": ({"url": plain.url, "method": "HEAD"}, ""),
        "open": ({**admin, "status": [200]}, "it answered 401, expected 200"),
        "redirected": ({"url": f"{plain.url}/away"}, "it answered 302, expected 200"),
        "dropped": ({"url": f"{plain.url}/drop"}, "the connection broke before the answer"),
        "cut": ({"url": f"{plain.url}/cut"}, "the connection broke in the middle of the answer"),
        "gone": ({"url": CLOSED}, "nothing answers there"),
        "unknown": ({"url": "http://no-such-host.invalid/"}, "its name is not known"),
        "late": ({"url": f"{plain.url}/slow", "max_latency": "100ms"}, "it took longer than 0.1 s"),
        "reachable": ({"url": plain.url, "unreachable": True}, "it answered 200, and should not be reachable"),
    }
    given = [{"name": name, **probe} for name, (probe, _reason) in probes.items()]
    said = run_module("http_probe", {"probes": given}, check=True).ok()
    found = {each["name"]: (each["reasons"] or [""])[0] for each in said["probe"]["results"]}
    assert found == {name: reason for name, (_probe, reason) in probes.items()}
    assert said["probe"]["decision"] == "fail"
    assert said["probe"]["failed"] == [name for name, (_probe, reason) in probes.items() if reason]
    assert not said.changed
    assert "kanarienvogel" not in said.everything


def test_samples_and_their_figures(run_module: ModuleRunner, plain: Website) -> None:
    plain.flaky = 2
    plain.seen.clear()
    probes = [{"url": f"{plain.url}/flaky", "samples": 50}, {"url": f"{plain.url}/health", "samples": 10}]
    said = run_module("http_probe", {"probes": probes, "workers": 1}).ok()["probe"]
    assert (said["requests"], said["errors"]) == (60, 10)
    assert said["results"][0]["error_rate"] == 0.2
    assert said["results"][0]["consecutive_errors"] == 2
    assert said["results"][0]["statuses"] == {"200": 40, "500": 10}
    assert 0 < said["latency"]["p50"] <= said["latency"]["p95"] <= said["latency"]["p99"] <= said["latency"]["max"]


def test_a_secret_does_not_follow_a_redirect_to_another_host(run_module: ModuleRunner, plain: Website) -> None:
    plain.seen.clear()
    probe = {"url": f"{plain.url}/elsewhere", "redirects": 1, "secret_headers": {"X-Bypass": "kanarienvogel"}}
    assert run_module("http_probe", {"probes": [probe]}).ok()["probe"]["decision"] == "pass"
    assert ["x-bypass" in headers for _method, _path, headers in plain.seen] == [True, False]


def test_time_and_memory_are_bounded(run_module: ModuleRunner, plain: Website) -> None:
    """An answer in drops ends at its time limit; one without end is given up, and never kept."""
    began = time.monotonic()
    said = run_module("http_probe", {"probes": [{"url": f"{plain.url}/drip"}], "timeout": "1s"}).ok()["probe"]
    assert said["reasons"] == [f"{said['results'][0]['name']}: no answer within 1 s"]
    assert time.monotonic() - began < 10
    child = run_module.start("http_probe", {"probes": [{"url": f"{plain.url}/endless"}], "timeout": "20s"})
    peak = 0
    while child.process.poll() is None:
        try:
            peak = max(peak, psutil.Process(child.process.pid).memory_info().rss)
        except psutil.Error:
            break
        time.sleep(0.05)
    child.wait(60)
    assert peak < 200 * 1024 * 1024


def test_what_was_not_asked_in_time_proves_nothing(run_module: ModuleRunner, plain: Website) -> None:
    args = {"probes": [{"url": f"{plain.url}/slow", "samples": 1000}], "deadline": "1s"}
    said = run_module("http_probe", args).ok()["probe"]
    assert said["decision"] == "inconclusive"
    assert 0 < said["requests"] < 1000


def test_an_app_that_becomes_healthy_is_waited_for(run_module: ModuleRunner, plain: Website) -> None:
    """Of the first ten requests the first five fail."""
    plain.flaky = 5
    plain.seen[:] = [("GET", "/flaky", {})] * 2
    said = run_module("http_probe", {"probes": [{"url": f"{plain.url}/flaky"}], "wait_for": "20s"}).ok()["probe"]
    assert said["decision"] == "pass"
    assert len(plain.seen) > 3


def test_certificates(run_module: ModuleRunner, tmp_path: Path) -> None:
    with website(tmp_path, days=5) as site:
        probe = {"url": f"{site.url}/health"}
        said = run_module("http_probe", {"probes": [probe]}).ok()["probe"]
        assert "its certificate is not trusted" in said["reasons"][0]
        trusted = {"tls_ca": site.ca}
        said = run_module("http_probe", {"probes": [probe], **trusted}).ok()["probe"]
        assert (said["decision"], said["results"][0]["tls_days"]) == ("pass", 5)
        said = run_module("http_probe", {"probes": [{**probe, "tls_min_days": 14}], **trusted}).ok()["probe"]
        assert "its certificate ends in 5 days" in said["reasons"][0]
    run_module("http_probe", {"probes": [probe], "tls_ca": "/no/such/file"}).refused("source_unusable")


# --- Gates -----------------------------------------------------------------------------------------------


def test_a_gate_that_asks_by_itself(run_module: ModuleRunner, plain: Website) -> None:
    args = {"slo": {"error_rate": 0.05, "p95_ms": 5000}, "min_samples": 40, "rounds": 2, "pause": "0s"}
    good = run_module("slo_gate", {**args, "probes": [{"url": f"{plain.url}/health"}]}).ok()["gate"]
    assert (good["decision"], good["samples"], good["rounds"], good["synthetic"]) == ("pass", 40, 2, True)
    plain.flaky = 5
    bad = run_module("slo_gate", {**args, "probes": [{"url": f"{plain.url}/flaky"}]}).ok()["gate"]
    assert bad["decision"] == "fail"
    assert bad["rounds"] == 1, "more rounds could not change it"


def test_requests_take_the_place_of_missing_traffic(run_module: ModuleRunner, plain: Website) -> None:
    probes = [{"url": f"{plain.url}/health"}]
    args = {
        "slo": {"error_rate": 0.05, "orders": 9},
        "measurements": {"error_rate": 0.9, "orders": 3},
        "min_samples": 10,
    }
    # What was measured is judged where it is enough.
    assert run_module("slo_gate", {**args, "samples": 10, "probes": probes}).ok()["gate"]["decision"] == "fail"
    args["measurements"] = {"error_rate": 0.0, "orders": 3}
    said = run_module("slo_gate", {**args, "samples": 2, "probes": probes}).ok()["gate"]
    assert (said["decision"], said["synthetic"], said["samples"]) == ("pass", True, 10)
    assert run_module("slo_gate", {**args, "samples": 2}).ok()["gate"]["decision"] == "inconclusive"
    rolled = run_module("slo_gate", {**args, "samples": 2, "on_inconclusive": "rollback", "probes": probes}).ok()[
        "gate"
    ]
    assert (rolled["decision"], rolled["measured"]) == ("rollback", "inconclusive")
    assert "on_inconclusive is rollback" in rolled["reason"]


def test_figures_of_postgresql(run_module: ModuleRunner, database: Database) -> None:
    names = ("connections_percent", "longest_transaction_seconds", "waiting_locks", "replication_lag_seconds")
    slo = {f"db_{name}": 50 for name in names}
    reached = {name: value for name, value in database.args.items() if name != "bindir"}
    args = {**reached, "postgres": True, "slo": slo, "min_samples": 1}
    said = run_module("slo_gate", args).ok()["gate"]
    assert said["decision"] == "pass", said
    assert all(each["kept"] for each in said["objectives"])
    crowded = run_module("slo_gate", {**args, "slo": {"db_connections_percent": 0.1}}).ok()["gate"]
    assert (crowded["decision"], crowded["objectives"][0]["kept"]) == ("fail", False)
    gone = {**args, "login_port": 9, "rounds": 3, "pause": "0s", "consecutive_error_limit": 1}
    unreached = run_module("slo_gate", gone).ok()["gate"]
    assert (unreached["decision"], unreached["errors"]) == ("fail", 2)
