# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pair of login roles and the group that they act for, as values (private to ops.runbooks)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

#: PostgreSQL cuts longer names, so that two would become one.
_LONGEST = 63
#: What a platform makes for itself: rights and passwords of these are its control plane's affair.
MANAGED = frozenset(
    {
        "postgres",
        "anon",
        "authenticated",
        "authenticator",
        "service_role",
        "dashboard_user",
        "pgbouncer",
        "pgsodium_keyholder",
    }
    | {"pgsodium_keyiduser", "pgsodium_keymaker", "rdsadmin", "rds_superuser", "rds_replication", "rds_password"}
    | {"cloudsqladmin", "cloudsqlsuperuser", "azuresu", "azure_pg_admin", "neon_superuser", "cloud_admin"}
)
_MANAGED = re.compile(r"(supabase_|pg_)")
_WORDS = frozenset({"public", "none", "current_user", "current_role", "session_user"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The group and its two login roles. ``old`` is a login role from before, which the group takes the place of."""

    group: str
    pair: tuple[str, str]
    old: str | None = None

    @classmethod
    def read(cls, group: str, roles: Sequence[str] | None, old: str | None) -> Names:
        """From options. Raises ``invalid_parameter``."""
        names = (f"{group}_a", f"{group}_b") if not roles else tuple(roles)
        if len(names) != 2:
            raise _unusable("roles", ", ".join(names), "a pair is two roles", "Name two, or leave the option out.")
        for name in (group, *names, *([old] if old else [])):
            if not name.strip() or "\0" in name or len(name.encode()) > _LONGEST or name.lower() in _WORDS:
                reason = f"it is empty, a word of SQL, or longer than {_LONGEST} bytes with its suffix"
                raise _unusable("group", name, reason, "Take another name, such as app.")
        if len({group, *names}) != 3 or old in names:
            raise _unusable("roles", ", ".join(names), "one name stands for two roles", "Name three different roles.")
        return cls(group=group, pair=(names[0], names[1]), old=old)

    @property
    def logins(self) -> tuple[str, ...]:
        """Every role that may have sessions of the application: the pair, and one from before."""
        return tuple(dict.fromkeys((*self.pair, self.group, *([self.old] if self.old else []))))

    def other(self, role: str) -> str | None:
        """The other one of the pair; None where ``role`` is not one of it."""
        return None if role not in self.pair else self.pair[1 - self.pair.index(role)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleFact:
    """A role as the catalog has it. ``settings`` are names only: values may be secret."""

    name: str
    oid: int
    login: bool
    superuser: bool = False
    replication: bool = False
    createrole: bool = False
    createdb: bool = False
    bypassrls: bool = False
    inherit: bool = True
    connection_limit: int = -1
    valid_until: datetime | None = None
    #: Whether that time is over, by the server's clock, and whether it never was: the mark of a taken password.
    expired: bool = False
    scrambled: bool = False
    #: What ``ALTER ROLE ... SET role`` says for it, and the same within this database, which goes first.
    acts_as: str | None = None
    acts_here_as: str | None = None
    #: Whether it is a member of the group, inherits from it, may become it, may hand it on.
    member: bool = False
    inherits: bool = False
    may_set: bool = False
    admin: bool = False
    #: Whether the role that works here may alter it, as far as membership decides (PostgreSQL 16 and later).
    manageable: bool = True
    #: Names in ``pg_shdepend``: how many things depend on it, in whichever database.
    dependents: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFact:
    """A session of a role; what PostgreSQL does not show to the role that works here is None."""

    role: str
    pid: int
    database: str | None
    application: str
    client: str | None
    since: datetime | None

    @property
    def label(self) -> str:
        """As people look for it."""
        named = f" {self.application}" if self.application else ""
        place = f" from {self.client}" if self.client else ""
        return f"{self.pid}{named}{place}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manager:
    """The role that works here, and what it may."""

    session_user: str
    current_user: str
    superuser: bool
    createrole: bool
    bypassrls: bool
    createdb: bool
    #: Whether it is a member of the group, as every superuser is.
    in_group: bool
    reads_passwords: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFact:
    """All of it at one moment. ``roles`` has those that exist."""

    major: int
    database: str
    manager: Manager
    roles: Mapping[str, RoleFact]
    sessions: tuple[SessionFact, ...] = ()
    #: Whether the role has exactly the password that was given; None where nobody asked or can tell.
    password_fits: bool | None = None
    #: For a role that is to go: what belongs to it still.
    dependents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def sessions_of(self, role: str) -> tuple[SessionFact, ...]:
        """Those that logged in as ``role``, in any database of the server."""
        return tuple(each for each in self.sessions if each.role == role)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One statement of a plan. ``password_of`` is the role whose verifier comes behind it, as a literal.

    ``changes`` is what is different of roles afterwards, for diff mode and the predicted result; None where it is gone.
    """

    what: str
    sql: str
    password_of: str | None = None
    changes: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    #: The setting of the old role that is to be the session's own while this runs, and whether it is this database's.
    setting: tuple[str, bool] | None = None
    #: Whether it locks tables, so that everybody else waits while it does.
    locks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Privilege:
    """What a login has to be allowed to do: ``privileges`` on one thing."""

    kind: str
    name: str
    privileges: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a login has shown. ``password_asked`` is whether the server, or the pooler, asked for the password."""

    where: str
    session_user: str
    current_user: str
    password_asked: bool
    lacks: tuple[str, ...] = ()

    def as_result(self) -> dict[str, Any]:
        """For people."""
        return {
            "endpoint": self.where,
            "session_user": self.session_user,
            "current_user": self.current_user,
            "password_asked": self.password_asked,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A login that works, directly and, where one was asked for, through the pooler."""

    direct: Seen
    pooled: Seen | None = None

    def as_result(self) -> dict[str, Any]:
        """For people."""
        pooled = self.pooled.as_result() if self.pooled else None
        return {"direct": self.direct.as_result(), "pooled": pooled}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Whether a role is used. PostgreSQL keeps no last login, so that it is as good as the looks at its sessions."""

    state: Literal["unused", "in_use"]
    by: tuple[SessionFact, ...]
    looks: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One login of the pair, without its password."""

    id: str
    enabled: bool
    created_at: datetime | None = None
    last_used_at: datetime | None = None
    sessions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooler:
    """Where a pooler of the same database listens. ``user_suffix`` comes behind the role's name, as at Supabase."""

    host: str
    port: int
    database: str | None = None
    user_suffix: str = ""
    ssl_mode: str | None = None
    #: Seconds for which it may go on refusing a password that the server takes already.
    patience: float = 60.0
    extra: Mapping[str, str] = field(default_factory=dict)


def managed(name: str) -> bool:
    """Whether a platform, or PostgreSQL itself, has made a role for its own purposes."""
    return name in MANAGED or _MANAGED.match(name) is not None


def _unusable(option: str, value: str, reason: str, remedy: str) -> RunbookError:
    return RunbookError(
        code="invalid_parameter", attempted=f"read {option}", object=value, reason=reason, remedy=remedy
    )
