# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which files of a directory are taken for migrations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._migration.source import LARGEST, read_source

from harness.stores import failing, run_context


def names(directory: Path, adapter: str = "sql") -> list[str]:
    params: dict[str, Any] = {"archive": None, "directory": str(directory), "adapter": adapter}
    return [each.name for each in read_source(params, run_context()).files]


def test_the_files_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "2_b.sql").write_text("SELECT 2")
    (tmp_path / "10_a.up.sql").write_text("SELECT 10")
    (tmp_path / ".3_hidden.sql").write_text("SELECT 3")
    (tmp_path / "4_folder.sql").mkdir()
    assert names(tmp_path) == ["2_b", "10_a"]


def test_of_prismas_the_folders_count_and_nothing_else_is_read(tmp_path: Path) -> None:
    for folder in ("20240102_b", "20240101_a", ".20240103_hidden", "20240104_empty"):
        (tmp_path / folder).mkdir()
        if "empty" not in folder:
            (tmp_path / folder / "migration.sql").write_text("SELECT 1")
    with (tmp_path / "dump.sql").open("wb") as file:
        file.truncate(LARGEST + 1)
    assert names(tmp_path, "prisma") == ["20240101_a", "20240102_b"]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    for adapter in ("sql", "prisma"):
        with failing("source_missing"):
            names(tmp_path / "nowhere", adapter)
    (tmp_path / "1_a").mkdir()
    (tmp_path / "1_a" / "migration.sql").mkdir()
    with failing("source_unusable"):
        names(tmp_path, "prisma")
    (tmp_path / "file").write_text("")
    with failing("source_unusable") as failure:
        names(tmp_path / "file")
    assert "no directory" in failure().message
