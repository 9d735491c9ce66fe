# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The statements that make a database, and its temporary name."""

from __future__ import annotations

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.failures import connecting
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import Ownership
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.database import (
    create_statement,
    grant_statements,
    is_temporary,
    persistently,
    quote_literal,
    setting_value,
    temporary_name,
)
from hypothesis import given
from hypothesis import strategies as st

from harness.manifests import make_database_fact
from harness.stores import WrongClock

TOKEN = "0123456789ab"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=63))
def test_temporary_names_fit_and_are_known_again(target: str) -> None:
    name = temporary_name(target, TOKEN)
    assert len(name.encode()) <= 63
    assert name.endswith(f"__restoring_{TOKEN}")
    assert target.startswith(name.removesuffix(f"__restoring_{TOKEN}"))
    assert is_temporary(name)


@pytest.mark.parametrize("name", ["app", "app__restoring_", "app__restoring_xyz", "__restoring_0123456789ab_old"])
def test_other_names_are_not_temporary(name: str) -> None:
    assert not is_temporary(name)


@pytest.mark.parametrize(
    ("major", "changes", "said"),
    [
        (14, {}, "LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'"),
        (15, {}, "LOCALE_PROVIDER \"libc\" LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'"),
        (16, {"locale_provider": "icu", "locale": "de", "icu_rules": "&a < b"}, "ICU_LOCALE 'de' ICU_RULES '&a < b'"),
        (18, {"locale_provider": "builtin", "locale": "C.UTF-8"}, "BUILTIN_LOCALE 'C.UTF-8'"),
        (18, {"tablespace": "fast"}, 'TABLESPACE "fast"'),
    ],
)
def test_create_statements_carry_encoding_and_locale(major: int, changes: dict[str, str], said: str) -> None:
    statement = create_statement('o"dd', make_database_fact(**changes), major, {"fast"})
    assert statement.startswith('CREATE DATABASE "o""dd" WITH TEMPLATE template0 ENCODING \'UTF8\' ')
    assert statement.endswith(said)
    assert ("LOCALE_PROVIDER" in statement) == (major >= 15)


def test_a_tablespace_that_is_not_there_is_left_out() -> None:
    assert "TABLESPACE" not in create_statement("x", make_database_fact(tablespace="fast"), 18, ())


@pytest.mark.parametrize(
    ("text", "literal"), [("a", "'a'"), ("it's", "'it''s'"), ("a\\b'c", " E'a\\\\b''c'"), ("", "''")]
)
def test_literals(text: str, literal: str) -> None:
    assert quote_literal(text) == literal


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("search_path", '"$user", public', "'$user', 'public'"),
        ("search_path", '"a, ""b"""', "'a, \"b\"'"),
        ("search_path", "", "''"),
        ("SEARCH_PATH", "a,b", "'a', 'b'"),
        ("work_mem", "64MB", "'64MB'"),
        ("app.note", "x, y", "'x, y'"),
    ],
)
def test_settings_keep_their_meaning(name: str, value: str, written: str) -> None:
    assert setting_value(name, value) == written


def test_privileges_of_the_database_go_to_those_that_exist() -> None:
    like = make_database_fact(privileges=("app=CTc/app", "gone=c/app", "=c/app", "r=c*/app"))
    statements = list(grant_statements("d", like, Ownership(), {"gone"}))
    assert statements == [
        'GRANT CREATE, TEMPORARY, CONNECT ON DATABASE "d" TO "app"',
        'GRANT CONNECT ON DATABASE "d" TO PUBLIC',
        'GRANT CONNECT ON DATABASE "d" TO "r"',
        'GRANT CONNECT ON DATABASE "d" TO "r" WITH GRANT OPTION',
    ]
    default = ['GRANT CONNECT, TEMPORARY ON DATABASE "d" TO PUBLIC']
    assert list(grant_statements("d", like, Ownership(privileges="skip"), ())) == default
    assert list(grant_statements("d", make_database_fact(), Ownership(), ())) == default


class Quick(WrongClock):
    """One on which nobody waits."""

    def sleep(self, seconds: float) -> None:
        """No sooner said than done."""
        self.pushed.append(seconds)


@pytest.mark.parametrize(
    ("said", "tries"),
    [
        ("FATAL:  sorry, too many clients already", 3),
        ('FATAL:  too many connections for role "app"', 3),
        ("FATAL:  the database system is in recovery mode", 3),
        ("connection to server failed: Connection refused", 3),
        ('FATAL:  password authentication failed for user "app"', 1),
    ],
)
def test_what_passes_by_itself_is_tried_again(said: str, tries: int) -> None:
    tried: list[RunbookError] = []

    def work() -> str:
        if len(tried) == 2:
            return "done"
        tried.append(connecting(said, "there"))
        raise tried[-1]

    if tries == 1:
        with pytest.raises(RunbookError):
            persistently(work, Quick())
        assert len(tried) == 1
    else:
        assert persistently(work, Quick()) == "done"


def test_what_does_not_pass_is_a_failure_after_half_a_minute() -> None:
    clock = Quick()

    def work() -> None:
        raise connecting("Connection refused", "there")

    with pytest.raises(RunbookError):
        persistently(work, clock)
    assert 30 <= sum(clock.pushed) <= 31
