# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Redaction: no form of a secret stays in a text, and nothing else goes."""

from __future__ import annotations

import base64
import json
import threading
from urllib.parse import quote, quote_plus

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import MASK, Redactor
from hypothesis import given
from hypothesis import strategies as st

#: Long enough that no part of a test's other text is one by chance.
SECRETS = st.text(st.characters(codec="utf-8"), min_size=8, max_size=40).filter(lambda text: len(text.strip()) >= 8)
BYTES = st.binary(max_size=7)


def redactor(*secrets: str) -> Redactor:
    made = Redactor()
    for secret in secrets:
        made.protect(secret)
    return made


@pytest.mark.parametrize(
    "form",
    [
        str,
        lambda secret: quote(secret, safe=""),
        quote,
        quote_plus,
        lambda secret: json.dumps(secret)[1:-1],
        lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
        lambda secret: json.dumps(json.dumps(secret)[1:-1])[1:-1],
        lambda secret: repr(secret)[1:-1],
        lambda secret: secret.replace("'", "''"),
        lambda secret: base64.b64encode(secret.encode()).decode(),
        lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
    ],
    ids=["raw", "quoted", "path", "form", "json", "json-utf8", "json-in-json", "repr", "sql", "base64", "base64url"],
)
@given(secret=SECRETS)
def test_every_form_goes(form: object, secret: str) -> None:
    shown = form(secret)  # type: ignore[operator]
    assert redactor(secret).text(f"<<{shown}>>") == f"<<{MASK}>>"


@given(secret=st.binary(min_size=15, max_size=40).map(lambda raw: raw.hex()), before=BYTES, after=BYTES)
def test_base64_of_a_text_around_it(secret: str, before: bytes, after: bytes) -> None:
    """Basic authentication: the secret begins and ends anywhere within base64's groups of three bytes."""
    encoded = base64.b64encode(before + secret.encode() + after).decode()
    left = redactor(secret).text(encoded).split(MASK)
    assert len(left) > 1
    # What is left and right of the mask gives away no more than two bytes of the secret at each end.
    assert max(len(part) for part in left) <= 4 * (7 // 3 + 2)


@given(text=st.text(st.characters(codec="utf-8", exclude_characters=":="), max_size=60))
def test_nothing_else_goes(text: str) -> None:
    made = redactor("correct horse battery staple", "hunter2hunter2")
    assert made.text(text) == text


@pytest.mark.parametrize("short", ["", "abc", None])
def test_too_short_to_search_for(short: str | None) -> None:
    made = Redactor()
    made.protect(short)
    assert made.text("abcdef abc") == "abcdef abc"


def test_a_secret_within_another_does_not_break_it_up() -> None:
    assert redactor("word", "pass-word-phrase").text("it is pass-word-phrase.") == f"it is {MASK}."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://app:s3cr3t@db:5432/x", f"postgresql://app:{MASK}@db:5432/x"),
        ("postgresql://app:p@ss/w:rd@db/x", f"postgresql://app:{MASK}@db/x"),
        ("redis://:s3cr3t@cache:6379", f"redis://:{MASK}@cache:6379"),
        ("host=db password=s3cr3t user=app", f"host=db password={MASK} user=app"),
        (r"password='it\'s' user=app", f"password={MASK} user=app"),
        ("PGPASSWORD=s3cr3t pg_dump", f"PGPASSWORD={MASK} pg_dump"),
        ("?X-Amz-Signature=0a1b&x=1", f"?X-Amz-Signature={MASK}&x=1"),
        ("Authorization: Bearer abc.def", f"Authorization: Bearer {MASK}"),
        ('{"authorization": "Basic QWxh"}', f'{{"authorization": "Basic {MASK}"}}'),
        ("https://acme.com/a?b=c#d and me@acme.com", "https://acme.com/a?b=c#d and me@acme.com"),
        ("postgresql://app@db:5432/x", "postgresql://app@db:5432/x"),
    ],
)
def test_what_is_secret_by_its_place(text: str, shown: str) -> None:
    assert Redactor().text(text) == shown


def test_passwords_of_urls_are_secret_everywhere() -> None:
    made = Redactor()
    made.protect_within("postgresql://app:s3cr3t%2Fword@db/x")
    assert made.text("s3cr3t/word s3cr3t%2Fword") == f"{MASK} {MASK}"


def test_age_identities_are_secret_everywhere() -> None:
    made = Redactor()
    made.protect_within("# public key: age1abc\nAGE-SECRET-KEY-1QQPZRY9X8\n")
    assert made.text("age1abc and AGE-SECRET-KEY-1QQPZRY9X8") == f"age1abc and {MASK}"
    assert made.text("age-secret-key-1qqpzry9x9, never seen before") == f"{MASK}, never seen before"


def test_environment() -> None:
    made = Redactor()
    made.protect_environment(
        {
            "AWS_SECRET_ACCESS_KEY": "aws-secret-1",
            "PGPASSWORD": "pg-secret-1",
            "GITHUB_TOKEN": "gh-secret-1",
            "DATABASE_URL": "postgresql://u:url-secret-1@h/d",
            "SHORT_TOKEN": "true",
            "LANG": "not-a-secret-at-all",
            "TOKENIZERS_PARALLELISM": "not-a-secret-either",
        }
    )
    said = made.text("aws-secret-1 pg-secret-1 gh-secret-1 url-secret-1 true not-a-secret-at-all not-a-secret-either")
    assert said == f"{MASK} {MASK} {MASK} {MASK} true not-a-secret-at-all not-a-secret-either"


def test_values_of_any_depth() -> None:
    made = redactor("s3cr3t-value")
    value = {"s3cr3t-value": [1, None, True, 2.5, ("x s3cr3t-value",)], "k": {"s3cr3t-value"}}
    assert made.value(value) == {MASK: [1, None, True, 2.5, [f"x {MASK}"]], "k": [MASK]}


def test_what_is_no_plain_value_becomes_text() -> None:
    assert redactor("s3cr3t-value").value({"path": threading}) == {"path": str(threading)}


def test_lone_surrogates_become_printable() -> None:
    """ansible-core refuses output that is not UTF-8."""
    assert Redactor().text("caf\udce9") == "caf?"


def test_each_line_of_a_long_secret() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END KEY-----"
    assert redactor(key).text("bad: MIIEvQIBADANBgkqhkiG9w0BAQEFAASC") == f"bad: {MASK}"


def test_ansible_learns_every_form() -> None:
    told: set[str] = set()
    Redactor(on_protect=told.add).protect("a/b c'd+e")
    assert {"a/b c'd+e", "a%2Fb%20c%27d%2Be", "a%2Fb+c%27d%2Be", "YS9iIGMnZCtl"} <= told


def test_threads_may_protect_while_others_redact() -> None:
    made = Redactor()
    failures: list[Exception] = []

    def redact() -> None:
        try:
            for _round in range(300):
                made.text("x" * 50)
        except RuntimeError as error:
            failures.append(error)

    threads = [threading.Thread(target=redact) for _number in range(3)]
    for thread in threads:
        thread.start()
    for number in range(200):
        made.protect(f"secret-number-{number}")
    for thread in threads:
        thread.join()
    assert not failures
    assert made.text("secret-number-7 secret-number-199") == f"{MASK} {MASK}"
