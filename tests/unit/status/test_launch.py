# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a command line the next one repeats."""

from __future__ import annotations

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._status.launch import repeated
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-e", "runbooks_rpo=2h"], "-e runbooks_rpo=2h"),
        (["-erunbooks_rpo=2h"], "-e runbooks_rpo=2h"),
        (["--extra-vars=runbooks_rpo=2h"], "-e runbooks_rpo=2h"),
        (["--extra-vars", "runbooks_rpo=2h backup=latest"], "-e runbooks_rpo=2h"),
        (["-e", '{"runbooks_rpo": "2h", "to": "x"}'], "-e runbooks_rpo=2h"),
        (["-e", '{"runbooks_protected": false}'], """-e '{"runbooks_protected": false}'"""),
        (["-e", "runbooks_store='file:///a b'"], """-e '{"runbooks_store": "file:///a b"}'"""),
        (["-e", "@production.yml", "-e", "@my file.yml"], "-e @production.yml -e '@my file.yml'"),
        (["-e", "@/runner/env/extravars"], ""),
        (["-e", "backup=latest"], ""),
        (["-e", "runbooks_store_secret_key=word", "-e", "runbooks_webhook_url=https://hooks/word"], ""),
        (["-e", "runbooks_rpo='2h"], ""),
        (["-e", "{not json"], ""),
        (["-e"], ""),
        (["--limit", "main", "-i", "inventories/production"], ""),
    ],
)
def test_settings_and_files_are_repeated(words: list[str], expected: str) -> None:
    assert repeated(["/usr/bin/python3", "ansible-playbook", "ops.runbooks.backup", *words]) == expected


def test_settings_of_the_runbook_are_for_the_same_command() -> None:
    same = "ansible-playbook ops.runbooks.restore -i hosts.yml --limit main -e backup=b1 -e restore_id=inc1"
    words = ["-e", "restore_owner=app backup=b1 restore_id=inc1", "-e", "drill_jobs=2", "-e", "restore_token=word"]
    assert repeated(words, same) == "-e restore_owner=app"
    assert repeated(words) == ""


@pytest.mark.parametrize(
    "setting",
    [
        f"runbooks_age_identity=AGE-SECRET-KEY-1{'Q' * 58}",
        "drill_server_url=postgresql://drill:hunter22@db/postgres",
        "drill_server_url=postgresql://db/postgres?password=hunter22",
    ],
)
def test_what_holds_a_secret_is_not_repeated(setting: str) -> None:
    words = ["-e", setting, "-e", "drill_server_url=postgresql://drill@db/postgres"]
    same = "ansible-playbook ops.runbooks.drill -i hosts.yml"
    assert repeated(words, same) == "-e drill_server_url=postgresql://drill@db/postgres"


@given(st.lists(st.sampled_from(["-e", "--extra-vars", "{", "runbooks_a=", "="]) | st.text(max_size=12)))
def test_any_command_line_is_read(words: list[str]) -> None:
    assert isinstance(repeated(words), str)
