# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The benchmark runs; its figures are made on a machine that does nothing else. Peers are not installed here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import report
from bench.__main__ import GROUPS
from bench.rounds import Measured
from harness.children import Child, clean_environment
from harness.paths import CHECKOUT


@pytest.mark.skipif(sys.platform != "linux", reason="PSS is read from /proc")
def test_it_measures_what_is_ours(tmp_path: Path) -> None:
    """But for the deploy that has nothing to do: ``test_playbooks_deploy.py`` has one."""
    argv = [
        sys.executable,
        "-m",
        "bench",
        *GROUPS["backups"],
        *GROUPS["jobs"],
        *GROUPS["restores"],
        "--size",
        "8",
        "--stream",
        "40",
        "--rounds",
        "1",
        "--cold",
        "--no-peers",
    ]
    child = Child(
        [*argv, "--directory", str(tmp_path / "sandbox")],
        env=clean_environment(tmp_path / "home", {"PYTHONPATH": str(CHECKOUT)}),
        cwd=CHECKOUT,
    )
    finished = child.wait(300)
    # One round of a tiny database says nothing about speed, so a figure may miss; yet all must be there.
    assert finished.status in (0, 1), finished.output
    for expected in (
        "zstd:3",
        "encryption: age",
        "unchanged backup",
        "with `jobs: 2`",
        "pg_restore -j2",
        "verification of its checksums",
        "during the backup above",
        "during a stream of 40 MiB",
        "processor:",
    ):
        assert expected in finished.stdout, finished.output


def test_ratios_are_of_medians_with_the_floor_taken_off() -> None:
    measured = {
        "ping": Measured(seconds=(1.0, 1.0, 9.0), peak=0),
        "pg_dump": Measured(seconds=(10.0,), peak=0),
        "runbooks": Measured(seconds=(13.0, 99.0, 12.0), peak=100 * 2**20),
        "age": Measured(seconds=(14.2,), peak=0),
        "pipe": Measured(seconds=(48.0,), peak=0),
        "modules": Measured(seconds=(25.0,), peak=0),
    }
    unchanged = {"ping": Measured(seconds=(1.0,), peak=0), "unchanged": Measured(seconds=(2.5,), peak=0)}
    streams = {8192: Measured(seconds=(60.0,), peak=201 * 2**20)}
    results = report.Results(speed=measured, unchanged=unchanged, streams=streams)
    found = [(one.value, one.met) for one in report.figures(results)]
    assert found == [
        ("1.20", True),
        ("1.10", True),
        ("4.00", True),
        ("2.00", False),
        ("2.50", False),
        ("100 MiB", True),
        ("201 MiB", False),
    ]


def test_figures_take_the_place_of_the_last_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = tmp_path / "README.md"
    other = "<!-- figures of restores -->\nother\n<!-- end of figures -->\nafter\n"
    readme.write_text(f"before\n<!-- figures of backups -->\nold\n<!-- end of figures -->\n{other}")
    monkeypatch.setattr(report, "README", readme)
    report.write("backups", "new \\1\n")
    expected = f"before\n<!-- figures of backups -->\nnew \\1\n<!-- end of figures -->\n{other}"
    assert readme.read_text() == expected
    for group in GROUPS:
        assert f"<!-- figures of {group} -->\n" in (CHECKOUT / "bench" / "README.md").read_text()


def test_ratios_of_jobs_restores_and_checksums() -> None:
    def took(**seconds: float) -> dict[str, Measured]:
        return {name.replace("_", " "): Measured(seconds=(each,), peak=2**20) for name, each in seconds.items()}

    jobs = took(ping=1.0, one_job=11.0, two_jobs=9.0) | {
        "one job, zstd:12": Measured(seconds=(46.0,), peak=0),
        "two jobs, zstd:12": Measured(seconds=(31.0,), peak=0),
        "one job, gzip:6": Measured(seconds=(31.0,), peak=0),
        "two jobs, gzip:6": Measured(seconds=(26.0,), peak=0),
        "pg_dump -Fd gzip:6, one job": Measured(seconds=(30.0,), peak=0),
        "pg_dump -Fd gzip:6, two jobs": Measured(seconds=(20.0,), peak=0),
    }
    restore = took(ping=1.0, runbooks=25.0, pipe=36.0) | {"pg_restore": Measured(seconds=(20.0,), peak=0)}
    results = report.Results(jobs=jobs, restore=restore, checksum=took(ping=1.0, verify=6.0, download=3.9))
    found = [(one.value, one.met) for one in report.figures(results)]
    assert found == [
        ("1.25", True),
        ("1.50", True),
        ("1.20", True),
        ("0.80", False),
        ("1.20", True),
        ("1.50", True),
        ("0.78", False),
        ("1 MiB", True),
        ("1 MiB", True),
    ]
    assert set(results.contenders()) >= {"ping (jobs)", "one job, gzip:6 (jobs)", "pipe (restore)", "verify (checksum)"}
