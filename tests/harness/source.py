# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's own source as data: files, syntax trees, imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from harness.paths import CHECKOUT, MODULE_UTILS, MODULES

UTILS_PACKAGE = "ansible_collections.ops.runbooks.plugins.module_utils"


@dataclass(frozen=True)
class Source:
    """One Python file."""

    path: Path

    def __str__(self) -> str:
        return self.path.relative_to(CHECKOUT).as_posix()

    @cached_property
    def text(self) -> str:
        """Its content."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.text, str(self))

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of its tree."""
        return list(ast.walk(self.tree))

    @cached_property
    def called(self) -> set[str]:
        """What it calls, where that has a name: ``sys.exit``."""
        return {name for node in self.nodes if isinstance(node, ast.Call) and (name := dotted(node.func))}

    @property
    def docstring(self) -> str:
        """Its own docstring, or nothing."""
        return ast.get_docstring(self.tree) or ""

    @property
    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Every function and method in it."""
        for node in self.nodes:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield node

    @cached_property
    def imports(self) -> list[Import]:
        """Every import in it, wherever it stands; ``from a import b`` as ``a.b``."""
        return list(_imports(self.tree, lazy=False, typing=False))

    @property
    def utils_imports(self) -> Iterator[tuple[str, str]]:
        """(package, rest) of every import from module_utils: ``("_core", "errors.RunbookError")``."""
        for each in self.imports:
            if each.name.startswith(UTILS_PACKAGE + "."):
                package, _dot, rest = each.name[len(UTILS_PACKAGE) + 1 :].partition(".")
                yield package, rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """``name`` is dotted; ``lazy``: inside a function; ``typing``: under ``if TYPE_CHECKING``."""

    name: str
    level: int
    line: int
    lazy: bool
    typing: bool


def dotted(node: ast.expr) -> str:
    """``a.b.c`` of a name or an attribute of one, nothing of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    inner = dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{inner}.{node.attr}" if inner and isinstance(node, ast.Attribute) else ""


def _imports(node: ast.AST, *, lazy: bool, typing: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(name=alias.name, level=0, line=child.lineno, lazy=lazy, typing=typing)
        elif isinstance(child, ast.ImportFrom):
            for alias in child.names:
                name = f"{child.module or ''}.{alias.name}"
                yield Import(name=name, level=child.level, line=child.lineno, lazy=lazy, typing=typing)
        elif isinstance(child, (ast.stmt, ast.excepthandler, ast.match_case)):
            inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
            guarded = isinstance(child, ast.If) and dotted(child.test).endswith("TYPE_CHECKING")
            yield from _imports(child, lazy=lazy or inside, typing=typing or guarded)


@cache
def sources(directory: Path) -> list[Source]:
    """The Python files below a directory."""
    return [source(path) for path in sorted(directory.rglob("*.py"))]


@cache
def source(path: Path) -> Source:
    """A Python file, read and parsed once."""
    return Source(path)


def modules() -> list[Source]:
    """The modules, one file each."""
    return sources(MODULES)


def module_names() -> list[str]:
    """``postgres_backup`` and so on."""
    return [source.path.stem for source in modules()]


def utils() -> list[Source]:
    """The module_utils."""
    return sources(MODULE_UTILS)


def plugins() -> list[Source]:
    """Everything that ships."""
    return sources(CHECKOUT / "plugins")


def suite() -> list[Source]:
    """The tests."""
    return sources(CHECKOUT / "tests")
