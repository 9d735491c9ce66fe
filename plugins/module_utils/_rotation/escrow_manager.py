# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values in a secret of AWS Secrets Manager (private to ops.runbooks): each a version with a label of its own.

AWS lets go of versions that no label holds. What is current there is a text that is no secret, since AWS never lets the
label of the current version go. Whose values they are stands in the description: two stores that happen to call a
secret alike never clear up each other's.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._aws.secrets_manager import SecretsManager, SecretState
from ansible_collections.ops.runbooks.plugins.module_utils._aws.secrets_manager_plan import same_key
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.escrow import (
    SCHEMA,
    check_schema,
    document,
    unreadable,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.kept import MANAGER, PREFIX, Kept
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.seals import Broken, Plain

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._aws.service import Aws
    from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import Made

#: What the labels of kept versions begin with, and how many labels a secret of AWS may have.
_LABEL, _MOST = "ops.runbooks.", 20
_NOTE = "Values that ops.runbooks needs are versions of this secret; this one is none of them."


class Managed:
    """See ``escrow.Place``. A name is the id of a version."""

    scheme = MANAGER

    def __init__(self, aws: Aws, kept: Kept, environment: str, secret: str, store: str, seal: Plain) -> None:
        self._manager = SecretsManager(aws)
        self._redactor = aws.context.redactor
        self._name = f"{kept.secret_prefix or PREFIX}/{environment}/{secret}"
        self._description = f"Values of the secret {secret} of {environment}, kept by ops.runbooks for {store}"
        self._key = kept.kms_key_id
        self._seal = seal

    def reference(self, name: str) -> str:
        """The secret and the version."""
        return f"{MANAGER}:{self._name}:{name}"

    def check(self) -> None:
        """See ``escrow.Place``."""

    def look(self) -> None:
        """See ``escrow.Place``. Raises ``secret_conflict`` for a secret that is not ours."""
        self._ours()

    def ready(self) -> None:
        """See ``escrow.Place``. Made where there is none, and with the key of KMS that is declared."""
        state = self._ours()
        if state is None:
            more: dict[str, Any] = {"KmsKeyId": self._key} if self._key else {}
            token = str(uuid.uuid4())
            self._manager.create(self._name, _NOTE, token=token, Description=self._description, **more)
        elif self._key and not same_key(self._key, state.kms_key_id):
            self._manager.update(self._name, {"KmsKeyId": self._key})

    def keep(self, name: str, made: Made) -> str | None:
        """See ``escrow.Place``. Under an id of its own, so that nobody else's version is in the way."""
        token = str(uuid.uuid4())
        text = json.dumps(dict(made.parts), sort_keys=True)
        body = document(SCHEMA, **self._seal.seal(text.encode(), self._about(token)))
        self._manager.put(self._name, json.dumps(body, sort_keys=True), token=token, stage=f"{_LABEL}{token}")
        return token

    def open(self, name: str) -> Mapping[str, str] | None:
        """See ``escrow.Place``."""
        found = self._manager.value(self._name, name)
        if found is None:
            return None
        where = self.reference(name)
        try:
            body = json.loads(found.text or "")
            check_schema(where, body)
            parts = json.loads(self._seal.unseal(body, self._about(name)))
            return {str(part): str(text) for part, text in parts.items()}
        except Broken as broken:
            raise unreadable(where, broken.reason, broken.remedy) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            reason = "it is not a value of this collection"
            raise unreadable(where, reason, "Adopt the value that is in force.") from None

    def names(self) -> tuple[str, ...]:
        """See ``escrow.Place``. None where the secret is not there, or is not ours to clear up."""
        state = self._manager.describe(self._name)
        if state is None or state.gone_at is not None or state.description != self._description:
            return ()
        return tuple(id for id, stages in state.versions.items() if f"{_LABEL}{id}" in stages)

    def forget(self, name: str) -> None:
        """See ``escrow.Place``. AWS removes what has no label by itself."""
        self._manager.release(self._name, f"{_LABEL}{name}", name)

    def _ours(self) -> SecretState | None:
        state = self._manager.describe(self._name)
        if state is None:
            return None
        kept = [stage for stages in state.versions.values() for stage in stages if stage.startswith(_LABEL)]
        if state.gone_at is not None:
            reason, remedy = "it is to be deleted", "Take its deletion back (aws_secret with state=present)."
        elif state.description != self._description:
            reason = f"its description is {state.description!r}, so that it is not where this store keeps values"
            remedy = f"Give another secret_prefix; or, where the store has moved, set it to {self._description!r}."
        elif len(kept) >= _MOST - 2:
            reason = f"it keeps {len(kept)} values already, which runs that died have left"
            remedy = "Give the rotation up (take_back=true), which clears them up."
        else:
            return state
        raise RunbookError(
            code="secret_conflict", attempted="keep values in a secret", object=self._name, reason=reason, remedy=remedy
        )

    def _about(self, name: str) -> bytes:
        return self.reference(name).encode()
