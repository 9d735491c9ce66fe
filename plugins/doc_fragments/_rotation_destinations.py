# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where secrets go, in step with ``options.py`` of ``_rotation``; a part of ``_rotation``."""

from __future__ import annotations

from textwrap import indent

from ansible_collections.ops.runbooks.plugins.doc_fragments._store import AWS_CONNECTION

#: The options of a class of the user's own.
PLUGIN = r"""plugin:
  description:
    - The class of V(plugin), as C(package.module:Class). A module of a collection is
      C(ansible_collections.acme.secrets.plugins.module_utils.hsm:HsmProvider). It is imported where this module runs.
  type: str
options:
  description:
    - What the class is given.
  type: dict
  default: {}
secret_options:
  description:
    - The same for what is secret, such as a token. The class gets it among its options.
  type: dict
"""
#: The option ``destinations``.
DESTINATIONS = (
    r"""destinations:
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
        - V(github_secret) is a secret of GitHub Actions, of a repository, one of its environments, or an organization.
          A workflow takes what is there when it starts.
        - V(vercel_env) is an environment variable on Vercel, as M(ops.runbooks.vercel_env) sets it. It is in force
          where what serves production was built after it was changed.
        - V(aws_secret) is a secret of AWS Secrets Manager, as M(ops.runbooks.aws_secret) puts it, made where there is
          none.
        - V(aws_parameter) is an encrypted parameter of AWS Systems Manager (SecureString), made where there is none.
        - V(awx_credential) is a credential of AWX or of Ansible's automation controller, which has to be there. Other
          destinations, of other secrets too, may write other inputs of it. A job takes what is there when it starts.
        - V(plugin) is a class of your own (C(plugin)); what it has to have stands in docs/own-providers.md.
      type: str
      choices: [aws_parameter, aws_secret, awx_credential, file, github_secret, plugin, vercel_env]
      required: true
"""
    + indent(AWS_CONNECTION, "    ").lstrip("\n")
    + r"""    kms_key_id:
      description:
        - The key of KMS that V(aws_secret) or V(aws_parameter) is encrypted with. The default is the account's own.
      type: str
    parameter:
      description:
        - The name of the parameter, such as V(/acme/production/auth_secret).
      type: str
    credential:
      description:
        - The credential of AWX, by its name or its id.
      type: str
    input:
      description:
        - The input of the credential that gets the value, which its credential type has to call secret.
        - Without it the value is a JSON object that has a text for each input, such as
          V({"username":"{access_key_id}","password":"{secret_access_key}"}).
        - Inputs that are not named stay as they are.
      type: str
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
        - A token of the service that may read and change what is there, of Vercel, GitHub or AWX.
        - Without it E(VERCEL_TOKEN), E(GITHUB_TOKEN) or E(CONTROLLER_OAUTH_TOKEN) in the environment of the module's
          process is used.
      type: str
    api_url:
      description:
        - The address of the service's API. The default is C(https://api.vercel.com) or C(https://api.github.com),
          of AWX E(CONTROLLER_HOST), with C(/api/v2) behind it where it has no path.
      type: str
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
    repository:
      description:
        - The repository at GitHub, such as V(acme/web).
      type: str
    organization:
      description:
        - The organization at GitHub, instead of a repository, or the one that the credential of AWX belongs to.
      type: str
    github_environment:
      description:
        - The environment of the repository at GitHub.
      type: str
    secret:
      description:
        - The name of the secret at GitHub, or in Secrets Manager.
      type: str
    visibility:
      description:
        - Whose workflows get a secret of an organization.
      type: str
      choices: [all, private]
"""
    + indent(PLUGIN, "    ")
)
