#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_upload
short_description: Upload files, directories and content to S3, and remove them there
version_added: 1.0.0
description:
  - Makes objects in S3 equal to local files. What is the same already is not sent again.
  - Whether it is the same is decided by the SHA-256 in the object's metadata (C(x-amz-meta-sha256)) together with its
    size, never by the ETag, and by the headers, metadata, tags and encryption that the task asks for. A header that it
    does not ask for is not there afterwards.
  - An object appears whole or not at all. A file that changes while it is being sent is noticed, and nothing appears.
  - What it holds in memory of files stays within 96 MiB, for files of up to 140 GiB; parts grow with larger ones.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes.alone
  - ops.runbooks._attributes
  - ops.runbooks._store.s3
options:
  bucket:
    description: The bucket, which must exist.
    type: str
    required: true
  object:
    description:
      - The key of the one object that O(src) or O(content) becomes. Excludes O(prefix).
    type: str
  prefix:
    description:
      - What the keys begin with; a slash is put behind it, so that V(app) never stands for C(app-staging).
      - For a directory each key is the prefix and the path of the file below O(src). Empty means the top of the bucket.
    type: str
  src:
    description:
      - The file or directory to upload, on the machine that runs the module.
      - Links to files inside the directory are uploaded as what they point to. Links that lead out of it or to a
        directory, files that cannot be read and anything that is no file are refused until O(exclude) names them.
    type: path
  content:
    description:
      - The content of O(object), written as UTF-8. Like every argument it is shown by C(-vvv); secrets do not belong
        here.
    type: str
  state:
    description:
      - V(absent) deletes O(object), or below O(prefix) exactly the objects that correspond to the files of O(src).
    type: str
    choices: [present, absent]
    default: present
  purge:
    description:
      - With O(state=absent) and without O(src), delete everything below O(prefix), whoever put it there.
    type: bool
    default: false
  include:
    description:
      - Upload only files whose path below O(src) fits one of these globs, V(*.html) at any depth, V(/docs/**) from the
        top. C(*) stays within one part of the path and C(**) does not. A directory that fits brings all that is in it.
    type: list
    elements: str
    default: []
  exclude:
    description:
      - Leave out what fits one of these globs, directories with all that is in them.
    type: list
    elements: str
    default: []
  recursive:
    description:
      - Whether to go into the directories below O(src).
    type: bool
    default: true
  overwrite:
    description:
      - V(different) replaces an object that is not as it should be, V(always) every one of them.
      - V(never) makes only what is not there yet, and asks S3 itself to see to it (C(If-None-Match)).
    type: str
    choices: [different, always, never]
    default: different
  content_type:
    description:
      - The media type. Guessed from the name where it is not given, and a guess is not compared with what is there.
    type: str
  cache_control:
    description: The header C(Cache-Control).
    type: str
  content_disposition:
    description: The header C(Content-Disposition).
    type: str
  content_encoding:
    description: The header C(Content-Encoding). It is never guessed, and nothing is compressed.
    type: str
  content_language:
    description: The header C(Content-Language).
    type: str
  metadata:
    description:
      - Metadata of the object, names in small letters, values in printable ASCII. V(sha256) is the module's own.
    type: dict
    default: {}
  tags:
    description:
      - The tags of the object, all of them. Without this option they are not looked at.
    type: dict
  encryption:
    description:
      - How S3 encrypts the object; V(none) leaves it to the bucket's default.
    type: str
    choices: [none, sse-s3, sse-kms]
    default: none
  kms_key_id:
    description:
      - The key for V(sse-kms); the account's default key for S3 where it is not given.
    type: str
  storage_class:
    description:
      - The storage class of what is uploaded. It is not compared with what is there, since lifecycle rules change it.
    type: str
notes:
  - Needs C(s3:PutObject), C(s3:GetObject) and C(s3:ListBucket); C(s3:DeleteObject) for O(state=absent), and
    C(s3:PutObjectTagging) and C(s3:GetObjectTagging) for O(tags).
"""

EXAMPLES = r"""
- name: Upload a build without its maps
  ops.runbooks.s3_upload:
    bucket: acme-assets
    prefix: releases/2026-11-20
    src: dist
    exclude: ["*.map", node_modules]
    cache_control: public, max-age=31536000, immutable

- name: Keep a note of the release
  ops.runbooks.s3_upload:
    bucket: acme-assets
    object: releases/current.json
    content: "{{ {'release': '2026-11-20'} | to_json }}"
    content_type: application/json

- name: Remove what the build had uploaded, and nothing else
  ops.runbooks.s3_upload:
    bucket: acme-assets
    prefix: releases/2026-11-20
    src: dist
    state: absent
"""

RETURN = r"""
upload:
  description: The objects that the task is about.
  returned: success, and as far as it had come on failure
  type: dict
  contains:
    bucket:
      description: The bucket.
      type: str
      sample: acme-assets
    changed_count:
      description: How many objects were written or deleted, or would be in check mode.
      type: int
      sample: 1
    bytes_sent:
      description: The size of what was uploaded, or would be in check mode, in bytes.
      type: int
      sample: 5120
    objects:
      description: Each of them, by key.
      type: list
      elements: dict
      contains:
        key:
          description: The key.
          type: str
          sample: releases/2026-11-20/index.html
        changed:
          description: Whether it was written or deleted.
          type: bool
          sample: true
        bytes:
          description: Its size in bytes; before it was deleted where it was.
          type: int
          sample: 5120
        sha256:
          description: The SHA-256 of its content. V(null) where it is not known.
          type: str
          sample: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
        version_id:
          description: Its version, or that of its delete marker. V(null) where the bucket keeps none.
          type: str
          sample: null
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

from ansible_collections.ops.runbooks.plugins.module_utils._aws.upload import Upload
from ansible_collections.ops.runbooks.plugins.module_utils._core.runner import run


def main() -> None:
    """Run the module."""
    run(Upload)


if __name__ == "__main__":
    main()
