# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Python compiles out of an archive is compiled once in a test session, as it is for files anyway.

Modules reach their interpreter as an archive of sources, some hundred files that each run would compile anew. The code
is kept in ``$HARNESS_CACHE`` under the digest of its source. Where somebody listens who has imported them all
(``bin/ansible-warm``), modules run there. Python imports this by its name where ``PYTHONPATH`` has this directory.
"""

from __future__ import annotations

import _imp
import marshal
import os
import sys
import zipimport


def keep_code(directory: str) -> None:
    """Let ``zipimport`` ask the directory first."""
    import hashlib
    from types import CodeType
    from typing import Any

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


def run_elsewhere(path: str) -> None:
    """Where this interpreter was started for a module of ansible's, let it run there and end as it ends."""
    _python, *argv = sys.orig_argv
    if len(argv) != 1 or not os.path.basename(argv[0]).startswith("AnsiballZ_"):
        return
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from harness.forked import hand_over

    status = hand_over(path, argv)
    if status is None:
        sys.path.pop(0)
    elif status < 0:
        os.kill(os.getpid(), -status)
    else:
        os._exit(status)


if "HARNESS_MODULES" in os.environ:
    run_elsewhere(os.environ["HARNESS_MODULES"])
if "HARNESS_CACHE" in os.environ:
    keep_code(os.path.join(os.environ["HARNESS_CACHE"], f"code-{sys.implementation.cache_tag}"))
