# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which functions a statement calls (private to ops.runbooks); pure.

A function may do anything, so that what only reads or adds rows is as harmless as what it calls. Known are some of the
server's own; a quoted name, and one of another schema than the server's, may be anybody's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ansible_collections.ops.runbooks.plugins.module_utils._migration.sql_tokens import Token

#: Functions of the server that change nothing but what they return, or the next number of a sequence.
PURE: Final = frozenset(
    re.findall(
        r"\w+",
        "abs age array_agg array_length avg btrim ceil ceiling char_length clock_timestamp coalesce concat"
        " concat_ws count current_setting currval date_part date_trunc decode dense_rank encode extract floor format"
        " gen_random_uuid generate_series greatest initcap json_agg json_build_array json_build_object jsonb_agg"
        " jsonb_array_elements jsonb_array_elements_text jsonb_build_array jsonb_build_object jsonb_each least left"
        " length lower lpad ltrim make_date make_interval max md5 min mod nextval now nullif position random rank"
        " regexp_replace replace right round row_number rpad rtrim sha256 split_part statement_timestamp string_agg"
        " string_to_array substr substring sum to_char to_date to_jsonb to_regclass to_timestamp"
        " transaction_timestamp trim trunc unnest upper uuidv4 uuidv7",
    )
)
#: Words before a parenthesis that call nothing.
_KEYWORDS: Final = frozenset(
    re.findall(
        r"\w+",
        "all and any array as between case cast check conflict default distinct else except exists from having in"
        " intersect join lateral limit not offset on or references returning row select some then union using values"
        " when where with",
    )
)


def calls(tokens: Sequence[Token]) -> frozenset[str]:
    """The names of the functions, those of the server's own schema without it, and quoted ones with their quotes."""
    filtered = Token("word", "distinct") not in tokens
    found = set()
    for at, each in enumerate(tokens):
        if not _is_sign(each, "(") or at == 0:
            continue
        begin = _beginning(tokens, at - 1)
        parts = [_written(part) for part in tokens[begin:at] if not _is_sign(part, ".")]
        if not parts or parts[0] in _KEYWORDS or _is_no_call(tokens[:begin], after_parenthesis=filtered):
            continue
        found.add(".".join(parts[1:] if parts[0] == "pg_catalog" and len(parts) > 1 else parts))
    return frozenset(found)


def _beginning(tokens: Sequence[Token], last: int) -> int:
    """Where the (qualified) name begins that ends at a place; the place behind it where none does."""
    if tokens[last].kind not in ("word", "quoted"):
        return last + 1
    while last >= 2 and _is_sign(tokens[last - 1], ".") and tokens[last - 2].kind in ("word", "quoted"):
        last -= 2
    return last


def _is_no_call(before: Sequence[Token], *, after_parenthesis: bool) -> bool:
    """Whether a name with a parenthesis behind it is something else, by what stands before it.

    ``INSERT INTO a (x)``, ``AS v (x)``, ``x::numeric (10, 2)``, ``count(*) FILTER (...)``. Behind the parenthesis of
    DISTINCT ON (...) a call may stand.
    """
    last = before[-1] if before else None
    if last in (Token("word", "into"), Token("word", "as")):
        return True
    if after_parenthesis and last == Token("sign", ")"):
        return True
    return [each.text for each in before[-2:] if each.kind == "sign"] == [":", ":"]


def _is_sign(token: Token, text: str) -> bool:
    return token.kind == "sign" and token.text == text


def _written(token: Token) -> str:
    return f'"{token.text}"' if token.kind == "quoted" else token.text
