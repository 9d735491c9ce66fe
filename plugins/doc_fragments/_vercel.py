# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of modules that talk to Vercel, in step with ``VERCEL_SPEC`` and ``options.py`` of ``_vercel``."""

from __future__ import annotations


class ModuleDocFragment:
    """C(ops.runbooks._vercel) for modules of Vercel, C(ops.runbooks._vercel.record) for those that change something,
    C(ops.runbooks._vercel.move) for those that move production, C(ops.runbooks._vercel.forbidden) and
    C(ops.runbooks._vercel.outdated) for those that are told what may not serve again."""

    DOCUMENTATION = r"""
options:
  token:
    description:
      - A token of Vercel that may read the project and, for a rollback or a promote, move its production domains.
      - Without it the environment variable E(VERCEL_TOKEN) of the module's process is used.
    type: str
  team:
    description:
      - The team that the project belongs to, by its slug (V(acme)) or its id (V(team_...)).
      - Without it Vercel looks in the personal account of the token's owner, and knows nothing of a team's projects.
    type: str
  project:
    description:
      - The project, by its name or its id (V(prj_...)).
    type: str
    required: true
  api_url:
    description:
      - The address of Vercel's API. Plain http is only taken for this machine itself.
    type: str
    default: https://api.vercel.com
requirements:
  - requests
"""

    RECORD = r"""
options:
  store:
    description:
      - Where locks and run records live, and where a move of production is written down before Vercel is asked.
      - V(s3://bucket), V(s3://bucket/prefix) or V(file:///absolute/directory).
      - Without it there is neither lock nor record, and what an earlier run has left is known from Vercel alone.
    type: str
  state_store:
    description:
      - Where locks and records are kept, if not in O(store).
    type: str
  environment:
    description:
      - The environment, such as V(production). Needed with O(store).
    type: str
  name:
    description:
      - The name of the app within O(environment). Needed with O(store).
    type: str
  store_encryption:
    description:
      - How the S3 store encrypts what is written to it. V(none) leaves it to the bucket's default.
    type: str
    choices: [none, sse-s3, sse-kms]
    default: none
  store_kms_key_id:
    description:
      - The key for V(sse-kms).
    type: str
"""

    MOVE = r"""
options:
  from_deployment:
    description:
      - The deployment that is to be left, by its id or its own address. Where production does not serve it (any more),
        nothing changes.
      - The task is green then only where the records or Vercel's last job tell that it was left for what serves, or
        where what serves is what O(to) means. Else it fails and names what serves.
      - The default is what serves production now. For V(previous) and V(last_known_good) of O(to) it is what the last
        rollback left, as long as production serves what that rollback put there, so that a second run never goes one
        further back.
    type: str
  auto_assign:
    description:
      - Whether new production deployments take the domains by themselves afterwards, which is read back.
      - Vercel switches this off with every rollback, and on with every promote, whatever it was. V(keep) is what it was
        before; for a promote that undoes a rollback, what it was before the rollback.
    type: str
    choices: [keep, 'true', 'false']
    default: keep
  releases:
    description:
      - The releases on record, newest first, as M(ops.runbooks.release_info) returns them.
      - A deployment that is bad there may not serve again.
    type: list
    elements: dict
    default: []
    suboptions:
      release:
        description:
          - The name of the release.
        type: str
        required: true
      deployment_id:
        description:
          - The deployment that it is.
        type: str
        required: true
      gate:
        description:
          - V(pass) where its gate was passed.
        type: str
      bad:
        description:
          - Why it must not be used again, empty where it may be.
        type: str
      git_sha:
        description:
          - The commit that it was built from.
        type: str
      url:
        description:
          - Its own address.
        type: str
      recorded_at:
        description:
          - When it was recorded.
        type: str
      baseline:
        description:
          - Whether it served when the first release with a gate began. With no passed gate on record,
            V(last_known_good) is this one.
        type: bool
      attempt:
        description:
          - How many times its release was attempted.
        type: int
      started_at:
        description:
          - When the last attempt began.
        type: str
      rollback_to:
        description:
          - What was to take its place where its gate failed.
        type: str
      moves_before:
        description:
          - How many moves of production were on record then.
        type: int
      digest:
        description:
          - The digest of its plan.
        type: str
      began_in:
        description:
          - The run by which the last attempt began.
        type: str
      migrations:
        description:
          - The migrations of each of its databases.
        type: dict
      pending:
        description:
          - The migrations with which the last attempt began.
        type: dict
  timeout:
    description:
      - How long the module waits for Vercel's job, as a duration.
    type: str
    default: 5m
  break_glass:
    description:
      - The reason to go on where O(store) cannot be used. Locks and records then live in O(break_glass_dir), and the
        next run that reaches the store moves them there.
      - Changes nothing where the store can be used.
    type: str
  break_glass_dir:
    description:
      - A directory of this machine for them. The default is C(ops.runbooks) in E(XDG_STATE_HOME), else in
        C(~/.local/state).
    type: path
"""

    FORBIDDEN = r"""
options:
  forbidden:
    description:
      - Deployments that may not serve again, such as ones whose schema or secrets are gone.
    type: list
    elements: dict
    default: []
    suboptions:
      deployment_id:
        description:
          - The deployment.
        type: str
        required: true
      reason:
        description:
          - Why not. It is what a refusal says.
        type: str
        required: true
"""

    OUTDATED = r"""
options:
  outdated:
    description:
      - When deployments were built that may not serve again, such as before a secret that they hold was taken away. As
        M(ops.runbooks.secret_retired_info) returns it in V(retired.builds).
    type: list
    elements: dict
    default: []
    suboptions:
      built_before:
        description:
          - The end of that time (ISO 8601 with a zone).
        type: str
        required: true
      built_after:
        description:
          - The beginning of that time. Without it every earlier build is meant.
        type: str
      reason:
        description:
          - Why not. It is what a refusal says.
        type: str
        required: true
      secret:
        description:
          - The secret that it is about. It is for people only.
        type: str
"""
