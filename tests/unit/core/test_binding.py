# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and the servers that they stand for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core import binding
from ansible_collections.ops.runbooks.plugins.module_utils._core.store_file import FileStore

from harness.stores import failing, run_context

MAIN = {"system_identifier": "7001", "database": "app", "host": "db.example.com"}
OTHER_SERVER = {**MAIN, "system_identifier": "7002"}
OTHER_DATABASE = {**MAIN, "database": "postgres"}


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store", run_context())


def test_the_first_write_binds(store: FileStore) -> None:
    assert binding.check(store, "production", "main", MAIN) is None
    bound = binding.bind(store, "production", "main", MAIN, run_context())
    assert binding.check(store, "production", "main", MAIN) == bound
    assert binding.bind(store, "production", "main", MAIN, run_context()) == bound, "nothing new is written"
    assert bound.number == 1
    assert binding.read(store, "production", "other") is None
    assert binding.read(store, "staging", "main") is None


@pytest.mark.parametrize("reached", [OTHER_SERVER, OTHER_DATABASE])
def test_another_one_is_refused_naming_both(store: FileStore, reached: dict[str, str]) -> None:
    binding.bind(store, "production", "main", MAIN, run_context())
    attempts: list[Callable[[], object]] = [
        lambda: binding.check(store, "production", "main", reached),
        lambda: binding.bind(store, "production", "main", reached, run_context()),
    ]
    for attempt in attempts:
        with failing("store_binding_mismatch") as failure:
            attempt()
        for value in ("production/main", "7001", "app", reached["system_identifier"], reached["database"]):
            assert value in failure().message
        assert failure().as_failure()["bound_to"] == MAIN


def test_a_failover_changes_the_host_and_not_the_binding(store: FileStore) -> None:
    binding.bind(store, "production", "main", MAIN, run_context())
    binding.bind(store, "production", "main", {**MAIN, "host": "replica.example.com"}, run_context())


def test_adopt_binds_anew(store: FileStore) -> None:
    binding.bind(store, "production", "main", MAIN, run_context())
    adopted = binding.bind(store, "production", "main", OTHER_SERVER, run_context(), adopt=True)
    assert adopted.number == 2
    assert binding.check(store, "production", "main", OTHER_SERVER) == adopted
    with failing("store_binding_mismatch"):
        binding.check(store, "production", "main", MAIN)


def test_projects_of_a_platform_are_told_apart(store: FileStore) -> None:
    project = {"project": "abcdefghijkl", "database": "postgres", "host": "db.abcdefghijkl.supabase.co"}
    binding.bind(store, "production", "main", project, run_context())
    with failing("store_binding_mismatch") as failure:
        binding.check(store, "production", "main", {**project, "project": "zyxwvutsrqpo"})
    assert "zyxwvutsrqpo" in failure().message


def test_binding_does_not_happen_in_check_mode(store: FileStore) -> None:
    with pytest.raises(ValueError, match="check mode"):
        binding.bind(store, "production", "main", MAIN, run_context(check_mode=True))
    assert list(store.list("")) == []
