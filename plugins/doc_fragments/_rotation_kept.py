# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where values of secrets are kept, in step with ``options.py`` of ``_rotation``; a part of ``_rotation``."""

from __future__ import annotations

from textwrap import indent

from ansible_collections.ops.runbooks.plugins.doc_fragments._store import AWS_CONNECTION

#: The option ``kept_in``.
KEPT_IN = r"""kept_in:
  description:
    - Where values are kept while they are needed, that is the one that counts, the one before it, and one that is on
      its way. A value that was kept elsewhere before is read from there as long as it is needed; leave in what is
      needed for that.
    - Whatever the place, a value that was not put there under C(secrets_key) is not taken.
  type: dict
  suboptions:
    type:
      description:
        - V(key) is the store, encrypted by this machine under C(secrets_key).
        - V(age) is the store, encrypted by this machine to C(age_recipients). Needs the Python library C(pyrage).
        - V(sse_kms) is the store, a bucket, encrypted there under a key of KMS. A service that does not do that is
          refused before a value is made.
        - V(aws_secret) is a secret of AWS Secrets Manager for each secret, made where there is none, with a version
          for each value.
        - V(provider) keeps nothing, where the provider shows a value again, as V(supabase_api_key) does.
        - V(none) is the store, in the clear. It is refused, but for an O(environment) called V(sandbox) with its store
          on this machine, a directory or a service at a loopback address.
      type: str
      choices: [age, aws_secret, key, none, provider, sse_kms]
      default: key
    age_recipients:
      description:
        - Public keys of age, or of SSH (ed25519 or RSA), to which V(age) encrypts. That of the identity has to be one
          of them. A further one is for whoever has to read a value when that is lost.
      type: list
      elements: str
      default: []
    age_identity:
      description:
        - An identity of age, or a private key of SSH, with which what was kept with V(age) is read. Take it from a
          lookup.
      type: str
    age_identity_file:
      description:
        - A file that holds one, and that nobody but its owner may read.
      type: path
    kms_key_id:
      description:
        - The key of KMS for V(sse_kms) or V(aws_secret). The default is O(store_kms_key_id) for V(sse_kms), and then
          the account's own.
      type: str
    encryption_context:
      description:
        - The encryption context for V(sse_kms), which a policy of the key may ask for and which its log shows. No
          secret.
      type: dict
      default: {}
    secret_prefix:
      description:
        - What stands before the names of the secrets of V(aws_secret); behind it come environment and name, with C(/)
          between them. The default is C(ops.runbooks).
        - Where it is given with another type, values that are there from before are cleared up there too.
      type: str
""" + indent(AWS_CONNECTION, "    ").lstrip("\n")
