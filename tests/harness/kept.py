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
    """The code of templates: each worker compiles those of its task anew, and a good part of its time goes there."""
    from ansible._internal._templating._jinja_bits import AnsibleEnvironment
    from jinja2.environment import TemplateExpression

    if "HARNESS_CACHE" not in os.environ:
        return
    environment: Any = AnsibleEnvironment
    compile_template, compile_expression = environment.compile, environment.compile_expression
    directory = Path(os.environ["HARNESS_CACHE"], "templates")
    directory.mkdir(parents=True, exist_ok=True)
    #: Where the code of the expression goes that is compiled now: by then it is a tree, whose source nobody knows.
    awaited: list[Path] = []

    def template(self: Any, source: Any, *args: Any, **options: Any) -> Any:
        if args or options or not (isinstance(source, str) or awaited):
            return compile_template(self, source, *args, **options)
        place = awaited.pop() if awaited else directory / _digest(self, "template", source)
        code = _read(place)
        if code is None:
            code = compile_template(self, source)
            _write(place, code)
        return code

    def expression(self: Any, source: str, undefined_to_none: bool = True) -> Any:
        place = directory / _digest(self, "expression", source)
        code = _read(place)
        if code is None:
            awaited.append(place)
            try:
                return compile_expression(self, source, undefined_to_none)
            finally:
                awaited.clear()
        made = self.template_class.from_code(self, code, self.make_globals(None), None)
        return TemplateExpression(made, undefined_to_none)

    environment.compile, environment.compile_expression = template, expression


def _digest(environment: Any, kind: str, source: str) -> str:
    """Of whatever the code depends on."""
    from ansible._internal._templating import _jinja_bits

    context = _jinja_bits._TemplateCompileContext.current(optional=True)
    settings = [getattr(environment, name) for name in _jinja_bits._TEMPLATE_OVERRIDE_FIELD_NAMES]
    asked = repr((kind, str(source), settings, context and context.escape_backslashes))
    return hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()


def _read(place: Path) -> Any:
    try:
        return marshal.loads(place.read_bytes())
    except (OSError, ValueError, EOFError, TypeError):
        return None


def _write(place: Path, code: Any) -> None:
    unfinished = place.with_suffix(f".{os.getpid()}")
    unfinished.write_bytes(marshal.dumps(code))
    unfinished.rename(place)
