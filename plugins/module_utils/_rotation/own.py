# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Credentials that the run itself works with (private to ops.runbooks); pure. None of them is rotated with itself.

A run that disables what it logs in with cannot bring it back, and one that changes the key under which values lie in
the store cannot read them again. Such a secret is known by the id of its values, or by their fingerprints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.address import URL_VARIABLES
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.model import Names
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import Declaration
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import Ledger
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import KEY_VARIABLE, Keys

#: Variables of the process that hold a secret, and what it is for.
_VARIABLES: Mapping[str, str] = {
    KEY_VARIABLE: "the key under which values are kept in the store",
    "AWS_SECRET_ACCESS_KEY": "the key of AWS that this run works with",
    "VERCEL_TOKEN": "the token of Vercel that this run works with",
    "GITHUB_TOKEN": "the token of GitHub that this run works with",
    "CONTROLLER_OAUTH_TOKEN": "the token of AWX that this run works with",
    "SUPABASE_ACCESS_TOKEN": "the token of Supabase that this run works with",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """One of them: what it is, for sentences, the id by which its service knows it, its value; each where known."""

    what: str
    id: str = ""
    value: str = field(default="", repr=False)


def own_credentials(
    params: Mapping[str, Any], declaration: Declaration, environ: Mapping[str, str], logins: Sequence[str] = ()
) -> tuple[Own, ...]:
    """What a run with these options, in this environment, works with. ``logins`` are roles of other connections."""
    found = [Own(what=what, value=environ.get(name, "")) for name, what in _VARIABLES.items()]
    found += [
        Own(what=_VARIABLES[KEY_VARIABLE], value=params.get("secrets_key") or ""),
        Own(
            what="the access key of the store",
            id=params.get("access_key") or environ.get("AWS_ACCESS_KEY_ID", ""),
            value=params.get("secret_key") or "",
        ),
        *_login(declaration.options.get("database_url") or "", "the login with which its roles are altered"),
        *(
            Own(what=f"the login {each} with which runbooks work on a database", id=role)
            for each in logins
            for role in _roles(each)
        ),
    ]
    for name in URL_VARIABLES[:-1]:
        # DATABASE_URL is what an app reads: only where nothing else is given does a runbook work with it.
        found += _login(environ.get(name, ""), f"the login of {name}")
    for text in (declaration.options.get("secret_headers") or {}).values():
        what = "what its service is asked with (secret_headers)"
        found += [Own(what=what, value=each) for each in (str(text), str(text).rpartition(" ")[2])]
    kept = params.get("kept_in") or {}
    found += [
        Own(what="the access key with which values are kept (kept_in)", id=kept.get("access_key") or ""),
        Own(what="the identity with which values are decrypted (kept_in)", value=kept.get("age_identity") or ""),
    ]
    found += [
        Own(what=f"the token with which {each.name} is written", value=each.options.get("token") or "")
        for each in declaration.targets
    ]
    found += [
        Own(what=f"the access key with which {each.name} is written", id=each.options.get("access_key") or "")
        for each in declaration.targets
    ]
    return tuple(each for each in found if each.id or each.value)


def refuse_own(declaration: Declaration, ledger: Ledger, owns: Sequence[Own], keys: Keys) -> None:
    """Raises ``rotation_refused`` for a secret that is one of them."""
    values = [each for each in (ledger.current, ledger.new, ledger.old) if each is not None]
    ids = {each.id for each in values} | set(_logins(declaration))
    fingerprints = {each.fingerprint for each in values}
    for own in owns:
        if own.id in ids - {""} or (own.value and keys.fingerprint(own.value) in fingerprints):
            raise RunbookError(
                code="rotation_refused",
                attempted="rotate a credential with itself",
                object=f"secret {declaration.name}",
                reason=f"it is {own.what}, and a run that died half-way could neither go on nor go back",
                remedy="Let the runbooks work with a credential of their own, or rotate this one by hand.",
            )


def _login(url: str, what: str) -> Iterator[Own]:
    """The role and the password of a URL; nothing where it is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    if parts.username:
        for role in _roles(parts.username):
            yield Own(what=what, id=role, value=unquote(parts.password or ""))


def _roles(login: str) -> frozenset[str]:
    """The role of a login, behind which some poolers want to have their tenant (``role.tenant``)."""
    name = unquote(login)
    return frozenset((name, name.rpartition(".")[0])) - {""}


def _logins(declaration: Declaration) -> tuple[str, ...]:
    """Roles that take turns, which are known before the first of them has had one."""
    options = declaration.options
    if declaration.provider != "postgres_role_pair" or not options.get("group"):
        return ()
    return Names.read(options["group"], options.get("roles"), options.get("old_role")).logins
