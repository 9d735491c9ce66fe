# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds of providers (private to ops.runbooks). Another one is added here, and to the choices in ``options.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import Provider
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider_aws import AwsAccessKeyProvider
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider_generated import Generated
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider_http import HttpProvider
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider_plugin import own_provider
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider_postgres import PostgresRolePair
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider_supabase_api_key import SupabaseApiKey
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider_supabase_signing_key import (
    SupabaseSigningKey,
)

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

PROVIDERS: Mapping[str, Callable[[Mapping[str, Any], Context], Provider]] = {
    "aws_access_key": AwsAccessKeyProvider,
    "generated": Generated,
    "http": HttpProvider,
    "plugin": own_provider,
    "postgres_role_pair": PostgresRolePair,
    "supabase_api_key": SupabaseApiKey,
    "supabase_signing_key": SupabaseSigningKey,
}
