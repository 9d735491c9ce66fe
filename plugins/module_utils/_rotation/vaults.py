# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From where values are kept to where they were (private to ops.runbooks): every place that a slot may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from ansible_collections.ops.runbooks.plugins.module_utils._aws.service import AWS_SPEC, Aws
from ansible_collections.ops.runbooks.plugins.module_utils._core.age_identity import Identities
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Encryption
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.aws import connection
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.escrow import Place, Vault
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.escrow_manager import Managed
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.escrow_provider import Shown
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.escrow_stored import ByKms, Stored
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.kept import (
    AGE,
    CLEAR,
    KEY,
    KMS,
    MANAGER,
    PROVIDER,
    Kept,
    refuse_clear,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.seals import ByAge, ByKey, Plain, Seal

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store_s3 import S3Store
    from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import Provider
    from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import Keys


def open_vault(
    params: Mapping[str, Any],
    kept: Kept,
    secret: str,
    keys: Keys,
    context: Context,
    store: Store,
    *,
    provider: Provider | None = None,
    kind: str = "",
    redactor: Redactor | None = None,
    counting: Callable[[Store], Store] = lambda store: store,
) -> Vault:
    """Where new values go, and wherever earlier ones may lie. Connects to nothing yet.

    ``params`` are those of the store, ``redactor`` knows the parts of what is opened, ``kind`` is the provider's.
    """
    environment, endpoint = params["environment"], params.get("endpoint_url")

    def refuse() -> None:
        refuse_clear(kept, secret, environment, store.url, endpoint)

    given = kept.options or dict.fromkeys(AWS_SPEC.options)
    age = ByAge(keys, kept.age_recipients, lambda: Identities.of(given, context.redactor))
    seals: dict[str, Seal] = {each.cipher: each for each in (ByKey(keys), age, Plain(keys, KMS), Plain(keys, CLEAR))}
    written = {KEY: ByKey.cipher, AGE: ByAge.cipher, KMS: KMS, CLEAR: CLEAR}.get(kept.type, ByKey.cipher)
    stored: Place = Stored(store, environment, secret, seals, written)
    if kept.type == KMS and store.url.startswith("s3://"):
        key = kept.kms_key_id or params.get("store_kms_key_id")
        encryption = Encryption(mode="sse-kms", key_id=key, context=kept.encryption_context)
        by_kms = counting(cast("S3Store", store).encrypting(encryption))
        stored = ByKms(by_kms, environment, secret, seals, written, context)
    aws = Aws(connection(given, "kept_in", secret), context)
    managed = Managed(aws, kept, environment, secret, store.url, Plain(keys, MANAGER))
    places: dict[str, Place] = {"": stored, MANAGER: managed, PROVIDER: Shown(provider, kind)}
    first = places.get(kept.type, stored)
    swept = [stored, managed] if kept.in_manager else [stored]
    others = [each for each in places.values() if each is not first]
    return Vault([first, *others], swept, redactor or context.redactor, refuse)
