# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who manages a database, and what is theirs."""

from __future__ import annotations

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Manifest, PlatformFact
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.platform import of

from harness.manifests import make_manifest

SCHEMAS = ("auth", "storage", "realtime", "vault", "timescaledb_internal", "aws_s3", "app", "public", "pg_catalog")


def test_supabase_by_its_role() -> None:
    found = of("auto", ["supabase_admin"], SCHEMAS)
    assert found.name == "supabase"
    assert found.managed_schemas == ("auth", "realtime", "storage", "timescaledb_internal", "vault")
    assert found.managed_schemas_with_data == ("auth", "storage")


def test_rds_by_its_role() -> None:
    assert of("auto", ["rds_superuser"], SCHEMAS) == PlatformFact(name="rds", managed_schemas=("aws_s3",))


def test_nobody() -> None:
    """A schema of that name alone is the user's own."""
    assert of("auto", [], SCHEMAS) == PlatformFact()


def test_what_is_said_counts() -> None:
    assert of("postgres", ["supabase_admin"], SCHEMAS) == PlatformFact()
    assert of("supabase", [], ["auth"]).managed_schemas == ("auth",)


def test_a_manifest_keeps_it_and_an_older_one_has_none() -> None:
    manifest = make_manifest(platform=of("supabase", [], SCHEMAS))
    document = manifest.to_json()
    assert Manifest.from_json(document, where="here") == manifest
    del document["platform"]
    assert Manifest.from_json(document, where="here").platform == PlatformFact()
