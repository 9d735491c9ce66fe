# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pages about runbooks and roles, generated from what runs: ``python -m harness.runbook_pages``.

``docs/runbooks/<name>.md`` comes from a playbook's header and plays and its role's argument specs, ``README.md`` of
each role from the specs alone. A playbook's header is prose, then a YAML mapping of :data:`FIELDS`, all behind ``#``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from harness.paths import CHECKOUT, PLAYBOOKS, ROLES

PAGES = CHECKOUT / "docs" / "runbooks"
#: What every header says, in this order.
FIELDS = ("Works on", "Inputs", "Irreversible", "Partner", "Takes", "Examples")
#: Those of them that are one line each.
FACTS = ("Works on", "Irreversible", "Partner", "Takes")
#: Roles that several runbooks run, and what their variables describe; these are explained once, on their own pages.
SHARED = {"runbooks": "the environment", "database": "the way to the database", "app": "the app"}

_REPOSITORY = "https://github.com/ops-runbooks/ops.runbooks"
_MARK = "<!-- Generated from {source} by `PYTHONPATH=tests python -m harness.runbook_pages`. -->"
#: Ansible's markup: C(code), V(value), O(option), E(VARIABLE), M(module), P(plugin#type), B(bold), I(italic).
_MARKUP = re.compile(r"\b(?P<kind>[CVOEMPBI])\((?P<text>[^)]*)\)")


@dataclass(frozen=True)
class Runbook:
    """One playbook."""

    path: Path

    @property
    def name(self) -> str:
        """As in ``ops.runbooks.<name>``."""
        return self.path.stem

    @cached_property
    def plays(self) -> list[dict[str, Any]]:
        """Its plays."""
        plays: list[dict[str, Any]] = yaml.safe_load(self.path.read_text(encoding="utf-8"))
        return plays

    @cached_property
    def _header(self) -> tuple[str, str]:
        """The prose and the fields of the comment at the top, without its comment signs."""
        lines = []
        for line in self.path.read_text(encoding="utf-8").splitlines()[1:]:
            if not line.startswith("#"):
                break
            lines.append(line.removeprefix("#").removeprefix(" "))
        text = "\n".join(lines)
        prose, begin, fields = text.partition(f"\n{FIELDS[0]}:")
        return prose.strip(), (begin + fields).strip()

    @property
    def summary(self) -> str:
        """The header's first paragraph."""
        return _joined(self._header[0].split("\n\n")[0])

    @property
    def explanation(self) -> list[str]:
        """The paragraphs after it."""
        return [_joined(paragraph) for paragraph in self._header[0].split("\n\n")[1:]]

    @cached_property
    def fields(self) -> dict[str, Any]:
        """What the header says under :data:`FIELDS`."""
        found: dict[str, Any] = yaml.safe_load(self._header[1])
        return found

    @property
    def roles(self) -> list[str]:
        """The collection's roles that it runs, in their order, each once."""
        names = [task["name"].rpartition(".")[2] for play in self.plays for task in _role_tasks(play.get("tasks", []))]
        return list(dict.fromkeys(names))

    @property
    def steps(self) -> list[tuple[str, list[str]]]:
        """Each play's name with the names of its tasks, blocks resolved."""
        return [(play["name"], [task["name"] for task in _leaves(play.get("tasks", []))]) for play in self.plays]


def runbooks() -> list[Runbook]:
    """All of them."""
    return [Runbook(path) for path in sorted(PLAYBOOKS.glob("*.yml"))]


def specs_of(role: str) -> dict[str, Any]:
    """A role's entry points."""
    found: dict[str, Any] = yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    return dict(found["argument_specs"])


def page_of(runbook: Runbook) -> str:
    """``docs/runbooks/<name>.md``."""
    fields = runbook.fields
    parts = [
        f"# {runbook.name}",
        _MARK.format(source=f"playbooks/{runbook.name}.yml and the argument specs of its role"),
        runbook.summary,
        *runbook.explanation,
        "\n".join(
            f"- **{name}**: {_fact(name, fields[name])}" for name in FIELDS if name not in ("Inputs", "Examples")
        ),
        "## Commands",
        "```\n" + "\n".join(fields["Examples"]) + "\n```",
        "## Inputs",
        "Given with `-e name=value`, or asked for by a survey; an empty one counts as not given."
        if fields["Inputs"]
        else "None.",
        _rows(("input", "meaning"), ((f"`{name}`", str(text)) for name, text in (fields["Inputs"] or {}).items())),
        "## What happens",
        *(f"{play}\n\n" + "\n".join(f"- {task}" for task in tasks) for play, tasks in runbook.steps),
        *(["## Settings", *settings] if (settings := list(_settings(runbook))) else []),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def readme_of(role: str) -> str:
    """``roles/<name>/README.md``."""
    specs = specs_of(role)
    parts = [f"# ops.runbooks.{role}", _MARK.format(source="meta/argument_specs.yml")]
    for name, entry in specs.items():
        if name != "main":
            parts.append(f"## Entry point `{name}`")
        parts.append(f"{entry['short_description']}.")
        parts += [_markdown(line) for line in entry.get("description", [])]
        parts.append(_options(entry.get("options") or {}))
    return "\n\n".join(part for part in parts if part) + "\n"


def targets() -> dict[Path, str]:
    """Every generated file with its content."""
    roles = sorted(path.name for path in ROLES.iterdir() if path.is_dir())
    pages = {PAGES / f"{runbook.name}.md": page_of(runbook) for runbook in runbooks()}
    return pages | {ROLES / role / "README.md": readme_of(role) for role in roles}


def _settings(runbook: Runbook) -> Iterator[str]:
    shared = [
        (f"[`{role}`]({_REPOSITORY}/blob/main/roles/{role}/README.md)", described)
        for role, described in SHARED.items()
        if role in runbook.roles
    ]
    if shared:
        (link, described), *others = shared
        more = "".join(f", those of {link} {described}" for link, described in others)
        yield f"Variables of the role {link} describe {described}{more}."
    inputs = {name for play in runbook.plays for name in play.get("vars", {})}
    if runbook.name in runbook.roles:
        options = specs_of(runbook.name)["main"].get("options") or {}
        # What asks a role only whether it could is set by preflight alone.
        own = {name: option for name, option in options.items() if name not in inputs | {f"{runbook.name}_preflight"}}
        if own:
            yield f"Set in the inventory, for all {'apps' if 'app' in runbook.roles else 'databases'} or for one:"
            yield _options(own)


def _options(options: Mapping[str, Mapping[str, Any]]) -> str:
    rows = (
        (f"`{name}`", _type(option), _default(option), _markdown(_joined(option["description"])))
        for name, option in options.items()
    )
    return _rows(("variable", "type", "default", "meaning"), rows)


def _type(option: Mapping[str, Any]) -> str:
    if choices := [str(each) for each in option.get("choices", []) if each != ""]:
        return " \\| ".join(f"`{each}`" for each in choices)
    elements = option.get("elements")
    return f"{option['type']} of {elements}" if elements else str(option["type"])


def _default(option: Mapping[str, Any]) -> str:
    if option.get("required"):
        return "required"
    if option.get("default") in (None, ""):
        return ""
    value = option["default"]
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _rows(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    body = list(rows)
    if not body:
        return ""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *body))


def _fact(name: str, value: Any) -> str:
    return f"[{value}]({value}.md)" if name == "Partner" else _joined(value)


def _joined(text: Any) -> str:
    """Paragraphs, or the lines of one, as a single line."""
    return " ".join((" ".join(text) if isinstance(text, list) else str(text)).split())


def _markdown(text: str) -> str:
    def shown(match: re.Match[str]) -> str:
        kind, inner = match["kind"], match["text"]
        if kind == "B":
            return f"**{inner}**"
        return f"*{inner}*" if kind == "I" else f"`{inner.partition('#')[0]}`"

    return _MARKUP.sub(shown, text)


def _leaves(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Tasks with those inside of blocks, without the blocks themselves."""
    for task in tasks:
        if "block" in task:
            for part in ("block", "rescue", "always"):
                yield from _leaves(task.get(part, []))
        else:
            yield task


def _role_tasks(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for task in _leaves(tasks):
        for action in ("ansible.builtin.import_role", "ansible.builtin.include_role"):
            if action in task:
                yield task[action]


if __name__ == "__main__":
    for target, content in targets().items():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
