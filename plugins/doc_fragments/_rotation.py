# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a secret is declared to be, in step with ``options.py`` of ``_rotation``; said once for both modules."""

from __future__ import annotations

from textwrap import indent

_DECLARATION = r"""
provider:
  description:
    - Where the value comes from.
  type: dict
  required: true
  suboptions:
    type:
      description:
        - V(generated) is a random text that only the app knows, such as the secret of its sessions.
      type: str
      choices: [generated]
      default: generated
    length:
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
destinations:
  description:
    - Where the value goes. Each is known by its name from run to run.
  type: list
  elements: dict
  required: true
  suboptions:
    name:
      description:
        - A name for it.
      type: str
      required: true
    type:
      description:
        - V(file) is a file that its owner alone may read, replaced as a whole.
        - V(vercel_env) is an environment variable on Vercel, as M(ops.runbooks.vercel_env) sets it. It is in force
          where what serves production was built after it was changed.
      type: str
      choices: [file, vercel_env]
      required: true
    value:
      description:
        - The text that it gets, made of parts of the secret. C({value}) is the value, C({previous}) the one before it
          as long as that is still good, else empty.
        - Where the whole text is empty, the destination is removed.
      type: str
      default: "{value}"
    path:
      description:
        - The path of the file, absolute. Its directory has to be there.
      type: path
    project:
      description:
        - The project on Vercel, by its name or its id.
      type: str
    team:
      description:
        - The team that the project belongs to, by its slug or its id.
      type: str
    token:
      description:
        - A token of Vercel that may read the project and change its variables.
        - Without it E(VERCEL_TOKEN) in the environment of the module's process is used.
      type: str
    api_url:
      description:
        - The address of Vercel's API.
      type: str
      default: https://api.vercel.com
    variable:
      description:
        - The name of the variable.
      type: str
    kind:
      description:
        - V(sensitive) can be read back by nobody, V(encrypted) by members of the team.
      type: str
      choices: [sensitive, encrypted]
      default: sensitive
    targets:
      description:
        - V(production), V(preview), V(development), or slugs of custom environments. Only those that are listed are
          written.
      type: list
      elements: str
      default: [production]
    git_branch:
      description:
        - The branch whose previews get it; the one target is V(preview) then.
      type: str
consumers:
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
max_age:
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
_KEY = r"""
  secrets_key:
    description:
      - The key under which values lie in the store, encrypted by this machine, and under which fingerprints are made;
        at least 32 characters. Keep it. With another one nothing that is kept can be read.
      - Without it E(RUNBOOKS_SECRETS_KEY) in the environment of the module's process is used.
    type: str
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
_NEEDS = "requirements:\n  - cryptography\n  - requests (for Vercel, and to ask consumers)\n"


class ModuleDocFragment:
    """C(ops.runbooks._rotation) for one secret, C(ops.runbooks._rotation.listed) for several."""

    DOCUMENTATION = "options:" + _KEY + indent(_DECLARATION, "  ").lstrip("\n") + _NEEDS

    LISTED = "options:" + _KEY + _LISTED.lstrip("\n") + indent(_DECLARATION, "      ").lstrip("\n") + _NEEDS
