# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a secret is declared to be, in step with ``options.py`` of ``_rotation``; said once for both modules."""

from __future__ import annotations

from textwrap import indent

from ansible_collections.ops.runbooks.plugins.doc_fragments._rotation_destinations import DESTINATIONS, PLUGIN
from ansible_collections.ops.runbooks.plugins.doc_fragments._rotation_kept import KEPT_IN
from ansible_collections.ops.runbooks.plugins.doc_fragments._rotation_requests import REQUESTS
from ansible_collections.ops.runbooks.plugins.doc_fragments._store import AWS_CONNECTION

_DECLARATION = (
    r"""
provider:
  description:
    - Where the value comes from.
  type: dict
  required: true
  suboptions:
    type:
      description:
        - V(generated) is a random text that only the app knows, such as the secret of its sessions. Its one part is
          C({value}).
        - V(postgres_role_pair) is a login of PostgreSQL, of two roles that take turns, as
          M(ops.runbooks.postgres_role_pair) makes them. Its parts are C({user}), C({password}), C({host}), C({port})
          and C({database}); in a text with C(://) in it they are percent-encoded. Whoever is still logged in with the
          earlier role is waited for.
        - V(supabase_api_key) is an API key of a Supabase project. Its one part is C({value}). The earlier key works
          until it is deleted, at the end of C(watch); a single one cannot be switched off. A legacy key that is adopted
          is switched off instead, and so is the other one with it.
        - V(supabase_signing_key) is what a Supabase project signs the tokens of its users with. It has no parts, and
          C(destinations) is empty. The key in use is adopted in the first run. A new one stands by for
          C(cached_for), then it signs; the one before is revoked after C(grace), and not before all tokens
          that it has signed have expired; it is deleted after C(watch).
        - V(aws_access_key) is an access key of a user of AWS IAM, whose parts are C({access_key_id}) and
          C({secret_access_key}). A user has two at most; one that was there before is never deleted to make room. The
          earlier one is deactivated when it was not used for a while, and deleted in the end.
        - V(http) is a credential of any other service, by requests that are declared here.
        - V(plugin) is a class of your own (C(plugin)); what it has to have stands in docs/own-providers.md.
      type: str
      choices:
        - aws_access_key
        - generated
        - http
        - plugin
        - postgres_role_pair
        - supabase_api_key
        - supabase_signing_key
      default: generated
"""
    + indent(AWS_CONNECTION, "    ").lstrip("\n")
    + r"""    user:
      description:
        - The user whose access key it is, by name. The keys that the runbooks themselves work with have to be those of
          another user.
      type: str
    unused_for:
      description:
        - For how long the earlier access key has to have been unused before it is deactivated. AWS tells of a use up to
          four hours late, which is added. After a compromise it is not asked.
      type: str
      default: 1d
    timeout:
      description:
        - How long a new access key, or a new value of V(http), may take until the service accepts it.
      type: str
      default: 2m
    url:
      description:
        - The address of the service's API. Plain http is only taken for this machine itself, and no redirect is
          followed.
      type: str
    key_name:
      description:
        - The name of the secret at the service. Each credential is called after it, with a dot and the rotation behind.
          No other secret at the service may have it.
      type: str
    headers:
      description:
        - Headers of all requests.
      type: dict
      default: {}
    secret_headers:
      description:
        - Headers of all requests but C(test) whose values are secret, such as the token of an administrator.
      type: dict
    requests:
      description:
        - The requests of V(http), needed there. C(create) and C(test), and C(delete) or C(disable) with C(enable).
        - Nothing of an answer is shown but its status. A request that changes something is sent once.
      type: dict
      suboptions:
"""
    + indent(REQUESTS, "        ")
    + r""""""
    + indent(PLUGIN, "    ")
    + r"""    length:
      description:
        - How many characters it has; at least as many as 128 bits take.
      type: int
      default: 43
    alphabet:
      description:
        - What it is made of. V(url) is letters, digits, C(-) and C(_); V(hex) is C(0) to C(9) and C(a) to C(f).
      type: str
      choices: [url, alphanumeric, hex]
      default: url
    group:
      description:
        - The group role of the pair, needed for V(postgres_role_pair).
      type: str
    roles:
      description:
        - The two login roles. The default is the name of the group with V(_a) and V(_b) behind it.
      type: list
      elements: str
    old_role:
      description:
        - A login role from before, where its login is adopted.
      type: str
    database_url:
      description:
        - The connection of a role that may alter the pair, and is none of it.
        - Without it the connection is found in the environment, as by M(ops.runbooks.postgres_role_pair).
      type: str
    pooler:
      description:
        - A pooler through which the app reaches the same database, and which has to take the new password too.
      type: dict
      suboptions:
        host:
          description:
            - Its host.
          type: str
          required: true
        port:
          description:
            - Its port.
          type: int
          default: 6543
        database:
          description:
            - The database at the pooler, where its name is another one there.
          type: str
        user_suffix:
          description:
            - What comes behind the role's name there, such as V(.projectref) at Supabase.
          type: str
          default: ""
    session_watch:
      description:
        - For how long the sessions of the earlier role are looked at before its login is taken away.
      type: str
      default: 3s
    project_ref:
      description:
        - The ref of the Supabase project, twenty small letters or digits.
      type: str
    project_url:
      description:
        - The address of the Supabase project itself. The default is C(https://<project_ref>.supabase.co).
      type: str
    token:
      description:
        - An access token of Supabase. Without it E(SUPABASE_ACCESS_TOKEN) in the environment of the module's process is
          used.
      type: str
    api_url:
      description:
        - The address of Supabase's Management API. The default is C(https://api.supabase.com).
      type: str
    api_key_name:
      description:
        - The name of the API key that counts; no other secret may have it. A new key has it with a suffix, until the
          earlier one is taken out of use. V(default) is the one that Edge Functions look for.
      type: str
      default: default
    api_key_type:
      description:
        - Whether the API key is for servers or for browsers.
      type: str
      choices: [publishable, secret]
      default: secret
    disable_legacy:
      description:
        - Agree that both legacy keys, C(anon) and C(service_role), are switched off when one of them is rotated away
          from. They can be switched on again. Until then the rotation waits.
      type: bool
      default: false
    algorithm:
      description:
        - The algorithm of a new signing key.
      type: str
      choices: [ES256, RS256, HS256]
      default: ES256
    cached_for:
      description:
        - How long those who verify tokens may keep the signing keys that they have read. Supabase's own caches keep
          them for 20 minutes.
      type: str
      default: 20m
"""
    + DESTINATIONS
    + r"""consumers:
  description:
    - Who uses the secret, and where each says with which value. A rotation goes on only when all of them use the new
      one. A consumer answers C(GET url?nonce=...) with C({"secrets":{"<name>":["<fingerprint>"]}}); a fingerprint is
      the first 16 hexadecimal digits of the HMAC-SHA-256 of the nonce under the value, that of the value in use first.
    - Without consumers a rotation relies on deployments where there are any, and on the grace period.
  type: list
  elements: dict
  default: []
  suboptions:
    name:
      description:
        - A name for it.
      type: str
      required: true
    url:
      description:
        - Where it is asked, without a query. Plain http is only taken for this machine itself.
      type: str
      required: true
    reports:
      description:
        - The name under which it reports the secret. The default is the secret's.
      type: str
    value:
      description:
        - The text that it holds, as in the value of a destination.
      type: str
      default: "{value}"
    samples:
      description:
        - How often it is asked, since several instances may answer. All answers have to say the same.
      type: int
      default: 3
    headers:
      description:
        - Headers of the requests.
      type: dict
      default: {}
    secret_headers:
      description:
        - Headers whose values are secret, such as a token or the bypass of a deployment protection.
      type: dict
"""
    + KEPT_IN
    + r"""max_age:
  description:
    - How old a value grows before the next one is due, as a duration.
  type: str
  default: 90d
min_age:
  description:
    - How old a value has to be before it is rotated again by request, so that a command given twice rotates once.
  type: str
  default: 1h
grace:
  description:
    - How long the earlier value stays good after the new one was proven to be in use. No run sleeps through it.
  type: str
  default: 7d
watch:
  description:
    - The watch period. How long the earlier value can still be brought back after it was disabled.
  type: str
  default: 1d
sign_out_users:
  description:
    - Agree that what was signed with the earlier value ends when the new one is in use. Needed where no destination has
      C({previous}).
  type: bool
  default: false
"""
)
_KEY = r"""
  secrets_key:
    description:
      - The key under which values lie in the store, encrypted by this machine, and under which fingerprints and seals
        are made; at least 32 characters. Keep it. With another one nothing that is kept can be read, wherever it lies.
      - Without it E(RUNBOOKS_SECRETS_KEY) in the environment of the module's process is used.
    type: str
  own_logins:
    description:
      - Login roles of PostgreSQL with which runbooks work elsewhere. A secret that is one of them is not
        rotated, nor are other credentials that this run works with.
    type: list
    elements: str
    default: []
  plugin_paths:
    description:
      - Where collections are looked for that have a V(plugin), beside the packages of the Python that runs this module.
        The runbooks give what ansible itself is set to.
    type: list
    elements: path
    default: []
"""
_LISTED = r"""
  secrets:
    description:
      - The secrets, each declared as for M(ops.runbooks.secret_rotation).
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The name of the secret within O(environment).
        type: str
        required: true
"""
_NEEDS = """requirements:
  - cryptography
  - requests (for Vercel, GitHub, Supabase, AWX and V(http), and to ask consumers)
  - boto3 >= 1.36 (for AWS)
  - psycopg >= 3.2 (for V(postgres_role_pair))
  - PyNaCl >= 1.6 (for V(github_secret))
  - pyrage >= 1.3 (for V(age))
"""


class ModuleDocFragment:
    """C(ops.runbooks._rotation) for one secret, C(ops.runbooks._rotation.listed) for several.

    C(ops.runbooks._rotation.kept) is for what only reads values.
    """

    # Annotated, since ansible-test takes every other assignment in a class for a text that stands there whole.
    DOCUMENTATION: str = "options:" + _KEY + indent(_DECLARATION, "  ").lstrip("\n") + _NEEDS

    KEPT: str = "options:\n" + indent(KEPT_IN, "  ")

    LISTED: str = "options:" + _KEY + _LISTED.lstrip("\n") + indent(_DECLARATION, "      ").lstrip("\n") + _NEEDS
