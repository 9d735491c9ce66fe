# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Python compiles out of an archive is compiled once in a test session, as it is for files anyway.

Modules reach their interpreter as an archive of sources, some hundred files that each run would compile anew. The code
is kept in ``$HARNESS_CACHE`` under the digest of its source. Python imports this by its name where ``PYTHONPATH`` has
this directory.
"""

from __future__ import annotations

import _imp
import hashlib
import marshal
import os
import sys
import zipimport
from types import CodeType
from typing import Any


def keep_code(directory: str) -> None:
    """Let ``zipimport`` ask the directory first."""
    compile_source = zipimport._compile_source  # type: ignore[attr-defined]
    os.makedirs(directory, exist_ok=True)

    def compiled(path: str, source: bytes) -> Any:
        kept = os.path.join(directory, hashlib.sha256(source).hexdigest())
        try:
            with open(kept, "rb") as file:
                code: CodeType = marshal.loads(file.read())
        except (OSError, ValueError, EOFError, TypeError):
            code = compile_source(path, source)
            unfinished = f"{kept}.{os.getpid()}"
            with open(unfinished, "wb") as file:
                file.write(marshal.dumps(code))
            os.rename(unfinished, kept)
        else:
            # Where it was found this time.
            _imp._fix_co_filename(code, path)  # type: ignore[attr-defined]
        return code

    zipimport._compile_source = compiled  # type: ignore[attr-defined]


if "HARNESS_CACHE" in os.environ:
    keep_code(os.path.join(os.environ["HARNESS_CACHE"], f"code-{sys.implementation.cache_tag}"))
