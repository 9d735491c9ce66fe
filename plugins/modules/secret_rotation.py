#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: secret_rotation
short_description: Rotate a secret, one step further each time it may
version_added: 1.0.0
description:
  - Brings one secret as far as it may go now. Where a value is due it makes a new one, keeps it encrypted (O(kept_in)),
    writes it to the destinations, and stops until it is in use. Once the consumers have proven that, it stops for
    O(grace), then takes the earlier value away from the destinations, stops for O(watch), and removes it.
  - What is waited for is in RV(rotation.waits_for), and is no failure. The module never sleeps; run it again, such as
    each hour. It changes something only where something is due.
  - A run that dies at any point is continued by the next one. The value that is in use is never removed before
    another one has been proven to be in use.
  - A new variable on Vercel is in force only in what is built afterwards. The module does not deploy; it waits until a
    newer deployment serves.
  - Between rotations it checks that the destinations still hold what was written, and writes again what differs. What
    was built on Vercel since may hold what somebody else wrote, so that a newer deployment is waited for.
  - A credential that the run itself works with is refused.
  - No value is in any result, diff or message. RV(rotation.value) names where it lies.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes
  - ops.runbooks._store
  - ops.runbooks._store.s3
  - ops.runbooks._store.run
  - ops.runbooks._rotation
options:
  reason:
    description:
      - V(scheduled) rotates what is older than O(max_age), V(requested) now, once a rotation that is under way is over.
        RV(rotation.not_begun) says where it has not begun, and how to get it.
      - V(compromise) rotates now and waits for neither O(grace) nor O(watch). The order stays, so that nobody is left
        without a value. One that is under way is finished first.
    type: str
    choices: [scheduled, requested, compromise]
    default: scheduled
  rotation_id:
    description:
      - The identity of a rotation that is asked for, such as a ticket. The same one again changes nothing.
    type: str
  break_first:
    description:
      - With O(reason=compromise), end the earlier value as soon as the new one is made and tried, before anybody has
        that, and let no destination hold it beside the new one. What uses it fails until it has the new one, and what
        was signed with it ends. O(take_back=true) still brings it back.
      - Of a rotation that is under way already the earlier value is ended at once too, in its grace period with whoever
        uses it then; another one follows it, and waits for nobody once that value is disabled.
      - An access key is deactivated, a login taken away with its sessions, a credential of V(http) disabled, a signing
        key revoked. What a service can only delete for good (an API key of Supabase, V(http) without C(disable)) is
        good until the new one is in use, and RV(plan) says so.
    type: bool
    default: false
  adopt:
    description:
      - Where nothing is on record, take the value that is in force on record. It is O(current_value), or is read from
        the destinations that can be read back. It becomes due as if it were new today.
      - Before that it is proven, in check mode too. Its service has to take it (a login of V(postgres_role_pair),
        directly, through the pooler and at the address in O(current_value); the request V(test) of V(http); ...), each
        destination that can be read back has to hold it, and each consumer that answers has to use it.
      - The run that does so changes nothing outside. A destination that cannot be read back is on record as holding it,
        unread until it is written for the first time; one that holds nothing is written by the next run.
    type: bool
    default: false
  current_value:
    description:
      - The value that is in force, for O(adopt).
      - Without it E(RUNBOOKS_CURRENT_VALUE) in the environment of the module's process is used, where it is there.
    type: str
  take_back:
    description:
      - Go back to the value from before the rotation that is under way. Where that has been removed, or there is none,
        it is refused. Afterwards no rotation begins by itself until one was asked for.
    type: bool
    default: false
seealso:
  - module: ops.runbooks.secret_rotation_info
  - module: ops.runbooks.vercel_env
  - module: ops.runbooks.aws_access_key
  - module: ops.runbooks.aws_secret
"""

EXAMPLES = r"""
- name: Rotate what sessions are signed with, once a quarter
  ops.runbooks.secret_rotation:
    store: s3://acme-runbooks-production
    environment: production
    name: auth_secret
    provider:
      type: generated
    destinations:
      - name: web
        type: vercel_env
        project: acme-web
        team: acme
        variable: AUTH_SECRET
      - name: web-previous
        type: vercel_env
        project: acme-web
        team: acme
        variable: AUTH_SECRET_1
        value: "{previous}"
    consumers:
      - name: web
        url: https://app.acme.com/api/runbooks/secrets
  register: rotated

- name: Rotate what the worker signs its webhooks with, since it was seen in a log
  ops.runbooks.secret_rotation:
    store: s3://acme-runbooks-production
    environment: production
    name: webhook_secret
    reason: compromise
    sign_out_users: true
    provider:
      type: generated
      alphabet: hex
      length: 64
    destinations:
      - name: worker
        type: file
        path: /etc/acme/webhook_secret
    kept_in:
      type: age
      age_recipients: [age1p5fl0mj5xvne9ap2wy7fy7k6432v4w5p20qedncdesvfml40j4nql8a2ws]
      age_identity_file: /etc/runbooks/age.txt

- name: Rotate the access key with which files are uploaded
  ops.runbooks.secret_rotation:
    store: s3://acme-runbooks-production
    environment: production
    name: upload_key
    provider:
      type: aws_access_key
      user: acme-uploader
    destinations:
      - name: worker
        type: aws_secret
        secret: acme/production/upload_key
        value: '{"access_key_id": "{access_key_id}", "secret_access_key": "{secret_access_key}"}'
"""

RETURN = r"""
rotation:
  description: How the secret stands. In check mode as it would. On failure V(id), V(secret) and V(phase).
  returned: always
  type: dict
  contains:
    id:
      description: The identity of the last rotation.
      type: str
    secret:
      description: The name of the secret.
      type: str
    phase:
      description: >-
        V(idle), or of a rotation that is under way V(making), V(staged), V(breaking) (the earlier one is ended first),
        V(distributing), V(verifying) (is the new value in use?), V(grace), V(disabling), V(retiring) (the earlier one
        is being taken away), V(watching), V(clearing), V(returning) (to the earlier value) or V(dropping).
      type: str
    reason:
      description: Why the last rotation began.
      type: str
    withdrawn:
      description: Whether the earlier value was ended before the new one was in use (O(break_first)).
      type: bool
    value:
      description: >-
        What counts, as V(reference) (where it lies), the beginning of its V(fingerprint), V(since) and
        V(age_seconds).
      type: dict
    next_value:
      description: What is on its way, in the same form, null where nothing is.
      type: dict
    earlier_value:
      description: What counted before and is not removed yet, in the same form, null where nothing is.
      type: dict
    due_at:
      description: When the next rotation begins by itself.
      type: str
    overdue:
      description: Whether that is past.
      type: bool
    waits_for:
      description: >-
        V(what) is V(date), V(use) (by consumers), V(deployment), V(person) or V(run) (the next
        one), with the V(reason) and, of a date,
        V(until).
      type: dict
    destinations:
      description: >-
        Each with V(name), V(type), V(project) and V(variable) (on Vercel), V(written_at), V(as_written) (whether it is
        as it was written), V(missing) (whether somebody has removed it), V(unread) (whether nobody could tell what it
        held when its value was adopted) and V(in_force) (whether what runs was built with it).
      type: list
      elements: dict
    consumers:
      description: >-
        Those that were asked, each with V(name) and V(uses), which is V(wanted), V(other), V(neither) or V(silent).
      type: list
      elements: dict
    proof:
      description: By what the new value was known to be in use; V(none) where only time tells.
      type: str
    last:
      description: >-
        The last rotation that is over, with V(id), V(reason), V(outcome) (V(rotated), V(taken back), V(dropped) or
        V(adopted)), V(started_at), V(ended_at) and V(proof).
      type: dict
    summary:
      description: What has become of it in this run, in a few words; empty where nothing was, and nothing is under way.
      type: str
    not_begun:
      description: Why the rotation that was asked for has not begun, and how to get it; empty where it has.
      type: str
    requests:
      description: How many requests to store and services each phase has taken in this run.
      type: dict
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
  description: Why the task failed, with V(code), V(attempted), V(object) and V(remedy).
  returned: failure
  type: dict
"""

from ansible_collections.ops.runbooks.plugins.module_utils._core.runner import run
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.rotation import SecretRotation


def main() -> None:
    """Run the module."""
    run(SecretRotation)


if __name__ == "__main__":
    main()
