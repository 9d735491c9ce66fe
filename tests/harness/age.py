# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys for tests of encrypted backups, and ``age`` for those who restore without the collection."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pyrage

#: What ``age --decrypt --identity FILE [--output FILE] FILE`` does, by pyrage: none of it is ours.
_AGE = """
    import sys
    import pyrage
    words = sys.argv[1:]
    assert words[:2] == ["--decrypt", "--identity"], words
    with open(words[2]) as lines:
        keys = [line.strip() for line in lines if line.startswith("AGE-SECRET-KEY-1")]
    output = open(words[4], "wb") if words[3] == "--output" else sys.stdout.buffer
    with open(words[-1], "rb") as stored, output:
        pyrage.decrypt_io(stored, output, [pyrage.x25519.Identity.from_str(key) for key in keys])
"""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An identity in a file that only its owner can read, and its recipient."""

    path: Path
    recipient: str
    secret: str


def key_pair(path: Path) -> KeyPair:
    """What ``age-keygen --output`` makes."""
    identity = pyrage.x25519.Identity.generate()
    public = str(identity.to_public())
    path.write_text(f"# public key: {public}\n{identity}\n", encoding="utf-8")
    path.chmod(0o600)
    return KeyPair(path=path, recipient=public, secret=str(identity))


def age_command(directory: Path) -> Path:
    """A program ``age`` in a directory of its own, to be put in PATH; it only decrypts."""
    directory.mkdir()
    program = directory / "age"
    program.write_text(f"#!{sys.executable}\n{dedent(_AGE)}", encoding="utf-8")
    program.chmod(0o755)
    return directory
