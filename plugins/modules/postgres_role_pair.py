#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_role_pair
short_description: Two login roles of PostgreSQL that take turns, so that a password changes without an outage
version_added: 1.0.0
description:
  - A group role owns what the application makes and holds its rights; nobody logs in as it. Two login roles are its
    members and act as the group from login on (C(ALTER ROLE ... SET role)), through poolers too, so that it makes no
    difference which of them is used. A new password goes to the one that is idle; the other one works until it is
    retired.
  - The server gets a SCRAM verifier, made here with the server's C(scram_iterations). The password is in no
    statement, log, result or command line.
  - The server has to ask for the password when it is tested. Where the connection comes through a pooler of sessions
    whose users have a suffix (C(postgres.abcdefgh) at Supabase), the login roles get the same one.
  - Needs CREATEROLE, and from PostgreSQL 16 on the ADMIN OPTION of roles that are there already; no superuser.
    It refuses superusers, roles of platforms (such as C(postgres) or C(service_role) at Supabase), and the role that
    it is logged in as.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes
  - ops.runbooks._postgres
  - ops.runbooks._store
  - ops.runbooks._store.s3
  - ops.runbooks._store.run
options:
  store:
    description:
      - Where lock and record of the run are kept, with O(environment) and O(name). Without it there is neither.
    type: str
    required: false
  environment:
    description: The environment, such as V(production). Needed with O(store).
    type: str
    required: false
  name:
    description: The name of the database, within O(environment). Needed with O(store).
    type: str
    required: false
  group:
    description: The group role.
    type: str
    required: true
  roles:
    description:
      - The two login roles. Without it they are O(group) with C(_a) and C(_b) behind it.
    type: list
    elements: str
  state:
    description:
      - V(present) makes the group and the roles what they must be. A new role may log in once it has a password.
      - V(active) does that too, gives O(role) the O(password), lets it log in and tests that. Without O(password) it
        may log in again with the one from before.
      - V(tested) changes nothing and fails where the login does not work, directly or through the O(pooler), acts as
        another role, or lacks O(required_privileges).
      - V(retired) no longer lets O(role) log in, once nobody has been logged in for as long as O(watch) says.
        O(state=active) takes it back.
      - V(scrambled) takes the password of a retired O(role) away. The role stays for the next turn.
      - V(absent) drops the retired O(role), or without it the roles and the group, where nothing belongs to them.
      - V(adopted) makes the pair for an application that has a single login role so far, see O(old_role).
    type: str
    choices: [present, active, tested, retired, scrambled, absent, adopted]
    default: present
  role:
    description:
      - The role that O(state) is about, one of the pair. V(retired), V(scrambled), and V(active) without a password,
        also take O(old_role), or O(group) where that was the login before.
    type: str
  password:
    description:
      - The password of O(role), of at least 16 printable ASCII characters without blanks, such as C(openssl rand -hex
        32) makes. Whether it is the role's already is told by its verifier, or where that may not be read by a login.
    type: str
  login:
    description:
      - With O(state=present), the roles of the pair that may log in. Others are retired. Without it that stays as it
        is.
    type: list
    elements: str
  connection_limit:
    description:
      - How many sessions each of the two may have; V(-1) is any number. Without it that stays as it is.
    type: int
  bypassrls:
    description:
      - Whether row level security does not apply to the group. This is an attribute, which members act by since they
        act as the group. Without it that stays as it is.
    type: bool
  old_role:
    description:
      - With O(state=adopted), the login role of today. Without it, it is O(group) itself, which then keeps everything
        that it owns and was granted, and its login until it is retired; this is the way with the least change.
      - With another one, what it owns in this database goes over to O(group), and the group gets its privileges,
        memberships, default privileges, settings and the policies that name it. It becomes a member, so that its
        sessions go on. What cannot be handed on is listed and refused. Check mode lists everything.
    type: str
  required_privileges:
    description: What the login must be allowed to do when it is tested.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description: What kind of thing it is.
        type: str
        choices: [table, sequence, schema, function, database]
        default: table
      object:
        description: Its name, for a function with the types of its arguments.
        type: str
        required: true
      privileges:
        description: The privileges, such as V([SELECT, INSERT]).
        type: list
        elements: str
        required: true
  pooler:
    description: The pooler through which the application connects, which is tested too.
    type: dict
    suboptions:
      host:
        description: Its host.
        type: str
        required: true
      port:
        description: Its port.
        type: int
        default: 6543
      database:
        description: The database there; the one of the connection where it is not given.
        type: str
      user_suffix:
        description: What stands behind the role's name there, such as V(.abcdefghijklmnopqrst) at Supabase.
        type: str
        default: ''
      ssl_mode:
        description: As O(ssl_mode), which holds where it is not given.
        type: str
        choices: [disable, allow, prefer, require, verify-ca, verify-full]
      patience:
        description:
          - For how long it may go on refusing a password that the server takes already, as a duration. It is asked
            seldom, since some poolers refuse for longer the more often they are asked.
        type: str
        default: 60s
  watch:
    description:
      - For how long nobody may have been logged in as a role that is retired, as a duration. PostgreSQL keeps no last
        login, and sessions on standbys are not seen.
    type: str
    default: 3s
  force_after:
    description:
      - How long sessions of the role may go on, as a duration. Those that are left then are ended when it is retired.
        With O(state=active), another password is set although there are sessions. Without it both are refused.
    type: str
  lock_timeout:
    description:
      - How long a statement may wait for a lock, as a duration. With O(state=adopted), others may have to wait for as
        long as this while tables change hands; after five tries it gives up with nothing changed.
    type: str
    default: 2s
seealso:
  - module: ops.runbooks.vercel_env
"""

EXAMPLES = r"""
- name: What would change for the login that the application has today?
  ops.runbooks.postgres_role_pair:
    database_url: "{{ lookup('ansible.builtin.env', 'DIRECT_URL') }}"
    group: app
    state: adopted
  check_mode: true
  diff: true

- name: Give the idle role a new password, and log in as the application will
  ops.runbooks.postgres_role_pair:
    database_url: "{{ lookup('ansible.builtin.env', 'DIRECT_URL') }}"
    group: app
    state: active
    role: app_b
    password: "{{ lookup('ansible.builtin.env', 'NEW_PASSWORD') }}"
    required_privileges:
      - {object: public.orders, privileges: [SELECT, INSERT, UPDATE]}
    pooler:
      host: aws-0-eu-central-1.pooler.supabase.com
      user_suffix: .abcdefghijklmnopqrst

- name: Retire the other one, now that nobody uses it
  ops.runbooks.postgres_role_pair:
    database_url: "{{ lookup('ansible.builtin.env', 'DIRECT_URL') }}"
    group: app
    state: retired
    role: app_a
    watch: 1m
"""

RETURN = r"""
role_pair:
  description:
    - The V(group), the V(role) that was asked for, and by their names all V(roles), each with V(exists), V(login),
      V(expired), V(member), V(acts_as), V(connection_limit), and V(password) where it is known to be V(as given),
      V(another) or V(none). In check mode as the real run would leave them.
    - V(sessions) has up to twenty sessions, each with V(role), V(pid), V(database), V(application), V(client) and
      V(since); V(test) the logins as V(direct) and V(pooled), each with V(endpoint), V(session_user), V(current_user)
      and V(password_asked), where one was tested.
    - V(adoption), with O(state=adopted), lists what names the old role, as V(owned), V(grants),
      V(default_privileges), V(policies), V(memberships), V(members), V(settings) (names only), V(jobs) and databases
      V(elsewhere).
  returned: always
  type: dict
  sample:
    group: app
    role: app_b
    roles:
      app_b: {exists: true, login: true, expired: false, member: true, acts_as: app, connection_limit: -1}
plan:
  description:
    - What is done, or would be in check mode, as V(steps), and what of it cannot be taken back, as V(irreversible).
  returned: where it was decided
  type: dict
run_id:
  description: The run that this task belonged to.
  returned: always
  type: str
failure:
  description:
    - Why the task failed, with V(code), V(attempted), V(object) and V(remedy); V(refused) lists what stands in the
      way of an adoption, V(sessions) those of a role in use, V(lacks) the rights that a login lacks.
  returned: failure
  type: dict
"""

from ansible_collections.ops.runbooks.plugins.module_utils._core.runner import run
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.role_pair import PostgresRolePair


def main() -> None:
    """Run the module."""
    run(PostgresRolePair)


if __name__ == "__main__":
    main()
