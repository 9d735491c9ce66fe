# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs of ansible would each make of the same sources, kept in ``$HARNESS_CACHE`` for all of a test session."""

from __future__ import annotations

import hashlib
import marshal
import os
from pathlib import Path
from typing import Any


def keep_payloads() -> None:
    """The archives in which modules are sent: this run looks there for what it would make in a directory of its own."""
    from ansible import constants

    if "HARNESS_CACHE" in os.environ:
        made = os.path.join(os.environ["HARNESS_CACHE"], "payloads")
        os.makedirs(made, exist_ok=True)
        os.symlink(made, os.path.join(vars(constants)["DEFAULT_LOCAL_TMP"], "ansiballz_cache"))


def keep_templates() -> None:
    """The code of templates: each worker compiles those of its task anew, and the most of its time goes there."""
    from ansible._internal._templating import _jinja_bits

    if "HARNESS_CACHE" not in os.environ:
        return
    environment: Any = _jinja_bits.AnsibleEnvironment
    compile_template = environment.compile
    directory = Path(os.environ["HARNESS_CACHE"], "templates")
    directory.mkdir(parents=True, exist_ok=True)

    def compiled(self: Any, source: Any, *args: Any, **options: Any) -> Any:
        if not isinstance(source, str) or args or options:
            return compile_template(self, source, *args, **options)
        context = _jinja_bits._TemplateCompileContext.current(optional=True)
        # Whatever the code depends on.
        settings = [getattr(self, name) for name in _jinja_bits._TEMPLATE_OVERRIDE_FIELD_NAMES]
        asked = repr((str(source), settings, context and context.escape_backslashes))
        kept = directory / hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()
        try:
            return marshal.loads(kept.read_bytes())
        except (OSError, ValueError, EOFError, TypeError):
            code = compile_template(self, source)
        unfinished = kept.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(marshal.dumps(code))
        unfinished.rename(kept)
        return code

    environment.compile = compiled
