# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a statement changes of the session that it runs in (private to ops.runbooks); pure.

The runbook gives each session its limits, and this check has read the file as such a session does: neither is a file's
to change in passing. What a session has is also lost with it, where a run ends and another one goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ansible_collections.ops.runbooks.plugins.module_utils._migration.sql_tokens import Statement, Token

#: Settings with which the server would read a file in another way than this check did.
_READING: Final = frozenset({"standard_conforming_strings", "backslash_quote", "escape_string_warning"})
#: Settings that say how long others may have to wait for a statement.
_LIMITS: Final = frozenset(
    re.findall(r"\w+", "lock_timeout statement_timeout transaction_timeout idle_in_transaction_session_timeout")
)
#: Settings that change nothing for others.
_HARMLESS: Final = frozenset(
    re.findall(
        r"\w+",
        "bytea_output check_function_bodies client_encoding client_min_messages constraints datestyle"
        " default_table_access_method default_tablespace default_toast_compression extra_float_digits intervalstyle"
        " maintenance_work_mem max_parallel_maintenance_workers role row_security search_path session_authorization"
        " temp_tablespaces timezone work_mem xmlbinary xmloption",
    )
)
#: What SET calls otherwise than the setting is called.
_ALIASES: Final = {
    "time": "timezone",
    "names": "client_encoding",
    "schema": "search_path",
    "xml": "xmloption",
    "session": "session_authorization",
    "authorization": "session_authorization",
}
#: The name of a setting that is put together while the statement runs.
_UNSEEN: Final = ""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_IN_CODE = re.compile(r"\bset_config\b|(?:^|;|\bbegin|\bthen|\belse|\bloop)\s*(?:re)?set\s", re.IGNORECASE)


def settings(statement: Statement) -> tuple[str, ...]:
    """The names of the settings that it changes, in lower case; :data:`_UNSEEN` for one that nobody can tell."""
    tokens = statement.tokens
    first = tokens[0].text if tokens[0].kind == "word" else ""
    if first in ("set", "reset"):
        return (_named(tokens[1:]),)
    # A function, a view or a default is only written down.
    return () if first in ("create", "alter") else tuple(_configured(tokens))


def _named(tokens: tuple[Token, ...]) -> str:
    words = [each.text.lower() if each.kind in ("word", "quoted") else each.text for each in tokens]
    if words[:1] in (["session"], ["local"]) and tokens[1:2] and tokens[1].kind in ("word", "quoted"):
        words = words[1:]
    name = words[0] if words else _UNSEEN
    return "".join(words[:3]) if words[1:2] == ["."] else _ALIASES.get(name, name)


def _configured(tokens: tuple[Token, ...]) -> Iterator[str]:
    for at, each in enumerate(tokens[:-1]):
        if each.text == "set_config" and each.kind in ("word", "quoted") and tokens[at + 1] == Token("sign", "("):
            name, behind = (*tokens[at + 2 : at + 4], None, None)[:2]
            plain = name is not None and name.kind == "string" and _NAME.fullmatch(name.text)
            yield name.text.lower() if name is not None and plain and behind == Token("sign", ",") else _UNSEEN


def refusal(names: tuple[str, ...]) -> str:
    """Why no migration may change one of these, '' where it may."""
    if _UNSEEN in names:
        return "set_config with a name that is put together may change how the rest of the file is read"
    if "all" in names:
        return "RESET ALL takes away the limits that the runbook has set, and may change how the file is read"
    named = next((name for name in names if name in _READING), "")
    return f"SET {named} changes how the rest of the file is read" if named else ""


def doubt(names: tuple[str, ...]) -> str:
    """What is to be thought of before one of these is changed, '' where there is nothing."""
    for name in names:
        if name in _LIMITS:
            return (
                f"SET {name} takes the runbook's limits away (`-- runbooks: lock_timeout=10s statement_timeout=2h` are"
                " the file's own)"
            )
        if name not in _HARMLESS:
            return f"SET {name} is not known to be harmless"
    return ""


def set_in_code(statement: Statement) -> bool:
    """Whether code in its strings looks as if it changed a setting."""
    return any(each.kind == "string" and _IN_CODE.search(each.text) for each in statement.tokens)
