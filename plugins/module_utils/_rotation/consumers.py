# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking consumers which value they use (private to ops.runbooks), without telling it to anybody who listens.

A consumer answers ``GET <url>?nonce=<random>`` with ``{"secrets": {"<name>": ["<fingerprint>", ...]}}``: for each value
that it takes, the one that it uses first, 16 hexadecimal digits of the HMAC-SHA-256 of the nonce under that value.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Api
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import Consumer
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import Use
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import answer

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: Seconds for all questions to one consumer, and for one that is not answered.
_PATIENCE, _PERSISTENCE = 30.0, 3.0


def ask(consumer: Consumer, wanted: str, other: str | None, context: Context) -> Use:
    """As often as is declared: behind one address there may be several instances, each with its own value."""
    api = Api(
        service=f"the consumer {consumer.name}",
        url=consumer.url,
        headers=consumer.headers,
        patience=_PATIENCE,
        context=context,
        persistence=_PERSISTENCE,
    )
    try:
        return judge(consumer.name, [_sample(api, consumer, wanted, other) for _sample_ in range(consumer.samples)])
    finally:
        api.close()


def _sample(api: Api, consumer: Consumer, wanted: str, other: str | None) -> Use:
    nonce = secrets.token_hex(16)
    try:
        reply = api.read("", {"nonce": nonce})
    except RunbookError as error:
        return Use(consumer=consumer.name, uses="silent", why=f"does not answer: {error.reason}")
    if not reply.good:
        return Use(consumer=consumer.name, uses="silent", why=f"answers {reply.status}")
    listed = reply.fields.get("secrets")
    said = listed.get(consumer.reports) if isinstance(listed, dict) else None
    fingerprints = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    if not fingerprints:
        return Use(consumer=consumer.name, uses="silent", why=f"says nothing of {consumer.reports}")
    return read_answer(consumer.name, fingerprints, answer(wanted, nonce), answer(other, nonce) if other else None)


def read_answer(consumer: str, said: Sequence[object], wanted: str, other: str | None) -> Use:
    """One answer: the first is used, the others are taken beside it."""
    accepts = other is not None and other != wanted and other in said
    if said[0] == wanted:
        return Use(consumer=consumer, uses="wanted", accepts_other=accepts)
    return Use(consumer=consumer, uses="other" if accepts and said[0] == other else "neither", accepts_other=accepts)


def judge(consumer: str, samples: Sequence[Use]) -> Use:
    """All answers together: one instance that lags behind is enough."""
    accepts = any(each.accepts_other for each in samples)
    for uses in ("other", "neither", "silent"):
        if found := next((each for each in samples if each.uses == uses), None):
            return Use(consumer=consumer, uses=found.uses, accepts_other=accepts, why=found.why)
    return Use(consumer=consumer, uses="wanted", accepts_other=accepts)
