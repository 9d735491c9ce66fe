# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shape of the code: which way imports point, how long things are, what may not be written."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache

from harness.paths import COLLECTIONS, MODULE_UTILS
from harness.source import Source, module_names, modules, plugins, utils

#: Packages that may know several services. Every other one beside ``_core`` is a service and knows none but itself.
COMPOSING = {"_status", "_release", "_gate", "_rotation", "_migration"}
#: Slow to import, and not needed by a run that changes nothing.
HEAVY = {
    "boto3",
    "botocore",
    "cryptography",
    "dateutil",
    "icalendar",
    "nacl",
    "psycopg",
    "pyrage",
    "recurring_ical_events",
    "requests",
    "zstandard",
}
LONGEST_FILE, LONGEST_MODULE, LONGEST_MODULE_CODE, LONGEST_FUNCTION = 400, 250, 120, 50
HEADER = (
    "# Copyright (c) 2026 the ops.runbooks contributors\n"
    "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)\n"
    "# SPDX-License-Identifier: GPL-3.0-or-later\n"
)


def of_each(sources: Callable[[], Sequence[Source]]) -> Callable[[Callable[[Source], None]], Callable[[], None]]:
    """Make one test of a rule for each file: three thousand that take a millisecond cost a minute by their number."""

    def decorate(rule: Callable[[Source], None]) -> Callable[[], None]:
        def test() -> None:
            broken = {}
            for source in sources():
                try:
                    rule(source)
                except AssertionError as error:
                    broken[str(source)] = str(error)
            assert not broken

        test.__name__, test.__doc__ = rule.__name__, rule.__doc__
        return test

    return decorate


each_plugin, each_module, each_util = of_each(plugins), of_each(modules), of_each(utils)


def package_of(source: Source) -> str:
    return source.path.relative_to(MODULE_UTILS).parts[0]


@cache
def services() -> set[str]:
    return {package_of(source) for source in utils()} - COMPOSING - {"_core"}


@each_util
def test_imports_point_one_way(source: Source) -> None:
    own = package_of(source)
    allowed = {"_core", own} | (services() if own in COMPOSING else set())
    outside = {f"{package}.{rest}" for package, rest in source.utils_imports if package not in allowed}
    assert not outside, f"{own} may import only {sorted(allowed)}"


@each_module
def test_a_module_only_wires(source: Source) -> None:
    """It takes ``run`` from the core and its one operation from one package."""
    imported = [f"{package}.{rest}" for package, rest in source.utils_imports]
    others = [name for name in imported if name != "_core.runner.run"]
    assert "_core.runner.run" in imported
    assert len(others) == 1, others
    classes = [node for node in source.tree.body if isinstance(node, ast.ClassDef)]
    functions = [node.name for node in source.functions]
    assert not classes
    assert functions == ["main"]


@each_util
def test_utils_are_private(source: Source) -> None:
    assert package_of(source).startswith("_")
    if source.path.name != "__init__.py":
        assert "(private to ops.runbooks)" in source.docstring


@each_plugin
def test_header(source: Source) -> None:
    if not source.text:
        return
    text = source.text.removeprefix("#!/usr/bin/python\n")
    assert text.startswith(HEADER)
    assert "from __future__ import annotations" in text


@each_plugin
def test_imports_are_absolute(source: Source) -> None:
    assert not [each for each in source.imports if each.level]


@each_plugin
def test_heavy_libraries_are_imported_late(source: Source) -> None:
    early = [each for each in source.imports if each.name.split(".")[0] in HEAVY and not (each.lazy or each.typing)]
    assert not early


#: Imports all modules, one after the other, and names the first one that brings something heavy.
IMPORT_ALL = """
import importlib, sys
heavy, names = set(sys.argv[1].split(",")), sys.argv[2].split(",")
for name in names:
    importlib.import_module(f"ansible_collections.ops.runbooks.plugins.modules.{name}")
    if found := heavy & set(sys.modules):
        sys.exit(f"{name} imports {sorted(found)}")
print(len(names))
"""


def test_importing_a_module_loads_no_heavy_library() -> None:
    """The same, seen from outside: what a task costs before it has done anything."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, ",".join(HEAVY), ",".join(module_names())],
        env={"PYTHONPATH": str(COLLECTIONS), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.stdout == f"{len(module_names())}\n"


@each_plugin
def test_processes_start_in_one_place(source: Source) -> None:
    if str(source).endswith("_core/process.py"):
        return
    assert not [each for each in source.imports if each.name.split(".")[0] in {"subprocess", "pty", "multiprocessing"}]
    starters = ("os.exec", "os.spawn", "os.posix_spawn", "os.fork", "os.system", "os.popen")
    assert not {name for name in source.called if name.startswith(starters)}


@each_plugin
def test_nothing_goes_through_a_shell(source: Source) -> None:
    words = {keyword.arg for node in source.nodes if isinstance(node, ast.Call) for keyword in node.keywords}
    assert not words & {"shell", "use_unsafe_shell"}


@each_plugin
def test_nothing_prints_asserts_or_exits(source: Source) -> None:
    assert not source.called & {"print", "exit", "quit", "sys.exit", "breakpoint"}
    assert not [node.lineno for node in source.nodes if isinstance(node, ast.Assert)]


@each_plugin
def test_no_error_is_swallowed(source: Source) -> None:
    """No bare ``except``, no empty handler, and a blind one only where the error is kept or raised again."""
    for node in source.nodes:
        if not isinstance(node, ast.ExceptHandler):
            continue
        assert node.type is not None, f"bare except in line {node.lineno}"
        empty = all(isinstance(line, ast.Pass) or _is_text(line) for line in node.body)
        assert not empty, f"empty handler in line {node.lineno}"
        if {"Exception", "BaseException"} & set(ast.unparse(node.type).strip("()").split(", ")):
            assert _keeps(node), f"blind handler in line {node.lineno}"


def _is_text(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


def _keeps(handler: ast.ExceptHandler) -> bool:
    """Whether a handler raises, or hands on the error that it caught."""
    nodes = [node for line in handler.body for node in ast.walk(line)]
    raises = any(isinstance(node, ast.Raise) for node in nodes)
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return raises or (handler.name is not None and handler.name in names)


@each_plugin
def test_files_are_short(source: Source) -> None:
    is_module = source.path.parent.name == "modules"
    assert len(source.text.splitlines()) <= (LONGEST_MODULE if is_module else LONGEST_FILE)


@each_module
def test_a_module_is_a_page(source: Source) -> None:
    strings = [
        node.value
        for node in source.tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    documented = sum((string.end_lineno or string.lineno) - string.lineno + 1 for string in strings)
    assert len(source.text.splitlines()) - documented <= LONGEST_MODULE_CODE


@each_plugin
def test_functions_are_short(source: Source) -> None:
    lengths = {node.name: (node.end_lineno or node.lineno) - node.lineno + 1 for node in source.functions}
    assert not {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION}


@each_plugin
def test_nothing_is_left_to_do(source: Source) -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
    assert not [line for line in source.text.splitlines() if any(mark in line for mark in marks)]
