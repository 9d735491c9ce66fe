# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make test` runs stages beside each other; that hides no failure and no output."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import stages
from harness.paths import CHECKOUT


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose stages are one-line programs."""
    monkeypatch.setattr(stages, "CHECKOUT", tmp_path)
    (tmp_path / "tests" / "run").mkdir(parents=True)
    return tmp_path


def stage(checkout: Path, name: str, script: str) -> None:
    path = checkout / "tests" / "run" / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def test_the_last_stage_is_printed_last_and_a_failure_fails_all(
    checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stage(checkout, "slow", "while [ ! -e quick-ran ]; do sleep 0.02; done; echo from slow; exit 3")
    stage(checkout, "after", "echo from after")
    stage(checkout, "quick", "touch quick-ran; echo 5 passed")
    assert stages.main(["slow,after", "quick"]) == 1
    said = capfd.readouterr().out
    assert "----- slow: FAILED with status 3" in said
    assert "from slow" in said
    assert "----- after: passed" in said
    assert "FAILED: slow. " in said
    assert said.endswith("5 passed\n")


def test_success(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stage(checkout, "one", "echo 1 passed")
    stage(checkout, "two", "echo 2 passed")
    assert stages.main(["one", "two"]) == 0
    assert "FAILED" not in capfd.readouterr().out


def test_make_test_runs_every_stage() -> None:
    (line,) = re.findall(
        r"^\t.*harness\.stages (.*)$", (CHECKOUT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    named = [name for lane in line.split() for name in lane.split(",")]
    assert sorted(named) == sorted(path.name for path in (CHECKOUT / "tests" / "run").iterdir())
    assert named[-1] == "system"
