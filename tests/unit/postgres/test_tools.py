# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finding PostgreSQL's tools. Each is a real program: one that answers as the tool does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import tools

from harness.manifests import make_context

#: A major version that no machine has installed.
MAJOR = 97


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return make_context(tmp_path)


def program(directory: Path, answer: str, name: str = "pg_dump") -> str:
    """A program that answers every question with one line; the directory it is in."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{answer}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(directory)


def version(text: str) -> str:
    return f"echo 'pg_dump (PostgreSQL) {text}'"


def find(context: Context, *bindir: str) -> tools.Tool:
    return tools.find("pg_dump", MAJOR, bindir=bindir, environment={}, context=context)


def test_the_servers_own_major_among_several(tmp_path: Path, context: Context) -> None:
    newer, right = program(tmp_path / "98", version("98.1")), program(tmp_path / "97", version("97.4 (Debian 97.4-1)"))
    found = find(context, newer, right)
    assert (found.path, found.version, found.major) == (f"{right}/pg_dump", "97.4", MAJOR)
    beta = program(tmp_path / "beta", version("97beta2"))
    assert find(context, beta).version == "97beta2"


def test_on_the_path(tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{program(tmp_path / 'bin', version('97.4'))}:/usr/bin:/bin")
    assert find(context).path == f"{tmp_path}/bin/pg_dump"


def test_what_was_found_instead_is_named(tmp_path: Path, context: Context) -> None:
    with pytest.raises(RunbookError) as caught:
        find(context, program(tmp_path / "old", version("13.2")))
    assert caught.value.code == "tool_missing"
    assert f"{tmp_path}/old/pg_dump is 13.2" in caught.value.reason
    for package in ("postgresql-client-97", "postgresql97", "postgresql@97", "bindir"):
        assert package in caught.value.remedy


def test_what_only_a_wrapper_calls_is_named(tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "96" / "bin", version("96.3"))
    monkeypatch.setattr(tools, "_PLACES", (f"{tmp_path}/{{major}}/bin", str(tmp_path)))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RunbookError) as caught:
        find(context)
    assert f"{tmp_path}/96/bin/pg_dump is 96.3" in caught.value.reason


@pytest.mark.parametrize("answer", ["exit 1", "echo 'something else 97.4'", version("97.4") + "; exit 3"])
def test_programs_that_do_not_answer_are_passed_over(answer: str, tmp_path: Path, context: Context) -> None:
    broken, right = program(tmp_path / "broken", answer), program(tmp_path / "right", version("97.4"))
    assert find(context, broken, right).path == f"{right}/pg_dump"
    assert "broken" in context.warnings[0]


def test_files_that_cannot_be_run_and_wrappers_are_passed_over(tmp_path: Path, context: Context) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pg_dump").write_text("not a program", encoding="utf-8")
    program(tmp_path / "share", version("97.4"), name="pg_wrapper")
    (tmp_path / "usr").mkdir()
    (tmp_path / "usr" / "pg_dump").symlink_to(tmp_path / "share" / "pg_wrapper")
    with pytest.raises(RunbookError):
        find(context, str(tmp_path / "data"), str(tmp_path / "usr"))


@pytest.mark.parametrize(
    ("major", "says", "expected"),
    [
        (18, "pg_dump: error: connection to server on socket failed: No such file or directory", True),
        (18, "pg_dump: error: this build does not support compression with ZSTD", False),
        (15, "", False),
    ],
)
def test_zstd(major: int, says: str, expected: bool, tmp_path: Path, context: Context) -> None:
    directory = program(tmp_path / "bin", f"echo '{says}' >&2; exit 1")
    tool = tools.Tool(name="pg_dump", path=f"{directory}/pg_dump", version=f"{major}.1", major=major)
    assert tools.writes_zstd(tool, {}, context) is expected


def test_all_tools_of_a_backup(tmp_path: Path, context: Context) -> None:
    says = version("97.4")
    for name in ("pg_dump", "pg_restore", "pg_dumpall"):
        program(tmp_path / "bin", says, name=name)
    common = {"bindir": [str(tmp_path / "bin")], "environment": {}, "context": context}
    found = tools.find_set(MAJOR, pg_dumpall=True, **common)  # type: ignore[arg-type]
    assert found.pg_dumpall is not None
    assert [each.name for each in (found.pg_dump, found.pg_restore, found.pg_dumpall)] == [
        "pg_dump",
        "pg_restore",
        "pg_dumpall",
    ]
    assert found.zstd
    assert tools.find_set(MAJOR, pg_dumpall=False, **common).pg_dumpall is None  # type: ignore[arg-type]


def test_one_tool_of_a_backup_is_missing(tmp_path: Path, context: Context) -> None:
    program(tmp_path / "bin", version("97.4"))
    with pytest.raises(RunbookError) as caught:
        tools.find_set(MAJOR, pg_dumpall=False, bindir=[str(tmp_path / "bin")], environment={}, context=context)
    assert "pg_restore" in caught.value.attempted


def test_a_tool_is_asked_once(tmp_path: Path, context: Context) -> None:
    asked = tmp_path / "asked"
    directory = program(tmp_path / "bin", f"echo . >> {asked}; {version('97.4')}")
    assert find(context, directory) == find(context, directory)
    assert asked.read_text().split() == ["."]
    os.utime(f"{directory}/pg_dump", ns=(1, 1))
    find(context, directory)
    assert asked.read_text().split() == [".", "."], "another file by now"
