# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules of secrets at their work: canaries go to Secrets Manager, Parameter Store, GitHub, AWX and files, and nowhere
else. ``test_canary.py`` has everything that goes wrong, of every module.

What a service makes up by itself is looked for as well: the secrets of access keys, and generated values. Searched are
output, results, the store, temporary files, command lines, and the addresses that the services were asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyrage import x25519

from harness.canaries import Canary, Search, files, new_canary, watched_command_lines
from harness.key_service import KeyService, declared, key_service
from harness.modules import ModuleRunner
from sandbox.aws import AwsServer, User
from sandbox.awx import AwxServer, Credential, CredentialType, Field
from sandbox.github import GitHubServer, Repository

#: A class of a user's own that does not keep to itself what it knows.
OWN = """
import logging
import sys


class Talkative:
    interface = 1
    parts = {"value"}

    def __init__(self, options, run):
        self.options, self.run = options, run
        print(options)

    def credentials(self):
        logging.error("%s", self.options)
        return []

    def make(self, name, current):
        value = f"{self.options['prefix']}-made"
        self.run.warn(f"made {value} with {self.options['token']}")
        return {"id": name, "parts": {"value": value}}

    def test(self, id, parts):
        sys.stderr.write(str(parts))
        print(parts)
        return ""

    def in_use(self, id):
        return ""

    def apply(self, *arguments):
        print(arguments)

    disable = enable = delete = apply
"""
LOUD: dict[str, Any] = {"_ansible_tracebacks_for": ["error", "warning"]}


class Services:
    """The stand-ins, with canaries for their credentials."""

    def __init__(self, root: Path, keys: KeyService) -> None:
        self.key, self.token, self.value, self.master = new_canary("/+="), new_canary("-_"), new_canary(), new_canary()
        self.keys = keys
        self.keys.value = self.value.text
        self.aws, self.github, self.awx = (
            AwsServer(root / "aws"),
            GitHubServer(root / "github"),
            AwxServer(root / "awx"),
        )
        self.aws.secret_key = self.key.text
        self.github.token = self.awx.token = self.token.text
        identity = x25519.Identity.generate()
        self.identity, self.recipient = Canary(str(identity)), str(identity.to_public())
        self.stand_ins = (self.aws, self.github, self.awx)

    def put(self) -> None:
        """What has to be there before anything is written."""
        for name in ("uploader", "rotated"):
            self.aws.put(User(name=name))
        self.github.put(Repository(name="acme/web", id=7))
        self.awx.put(CredentialType(id="1", name="Any", fields=(Field(id="password", secret=True),)))
        self.awx.put(Credential(id="7", name="jobs", type="1"))

    def places(self, folder: Path, part: str) -> list[dict[str, Any]]:
        """One destination of each kind that is no variable of Vercel; one of them is a URL."""
        value = f"{{{part}}}"
        return [
            {"name": "file", "type": "file", "path": str(folder / part), "value": value},
            {"name": "url", "type": "file", "path": str(folder / f"{part}-url"), "value": f"https://u:{value}@host/x"},
            {"name": "secret", "type": "aws_secret", "secret": f"acme/{part}", **self.aws.args, "value": value},
            {"name": "parameter", "type": "aws_parameter", "parameter": f"/{part}", **self.aws.args, "value": value},
            {"name": "jobs", "type": "awx_credential", "credential": "jobs", "input": "password", "value": value,
             "api_url": self.awx.api_url, "token": self.token.text},
            {"name": "workflows", "type": "github_secret", "repository": "acme/web", "secret": part, "value": value,
             "api_url": self.github.api_url, "token": self.token.text},
        ]  # fmt: skip

    def kept(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Places where values are kept, each with its name."""
        age = {"age_recipients": [self.recipient], "age_identity": self.identity.text}
        yield "aged", {"type": "age", **age}
        yield "managed", {"type": "aws_secret", **self.aws.args}

    def own(self, folder: Path) -> dict[str, Any]:
        """A provider of a user's own that is given a token, and says it wherever it can."""
        (folder / "acme_canary.py").write_text(OWN, encoding="utf-8")
        secret = {"token": self.token.text, "prefix": self.value.text}
        return {"type": "plugin", "plugin": "acme_canary:Talkative", "secret_options": secret}

    def made(self, folder: Path) -> Iterator[Canary]:
        """What services and modules have made up."""
        yield from (Canary((folder / name).read_text(encoding="utf-8")) for name, _place in self.kept())
        world = self.aws.world()
        yield from (Canary(key.secret) for key in world.keys.values() if key.user in ("uploader", "rotated"))
        yield from (Canary(each.value) for each in world.parameters.values())


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with key_service() as keys:
        found = Services(tmp_path / "services", keys)
        with found.aws, found.github, found.awx:
            found.put()
            yield found


def tasks(services: Services, folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """Each module of secrets with what it does; rotations with every kind of provider and destination."""
    value, github = services.value.text, {"api_url": services.github.api_url, "token": services.token.text}
    rotation = {"store": f"file://{folder}/store", "environment": "canary", "secrets_key": services.master.text}
    provider = declared(services.keys, "canary")
    provider["requests"]["test"] = {"method": "POST", "path": "/v1/me", "body": {"key": "{value}"}}
    user = {"type": "aws_access_key", "user": "rotated", **services.aws.args, "timeout": "3s"}
    generated = [
        ("secret_rotation", {**rotation, "name": name, "provider": {"type": "generated"}, "kept_in": place,
                             "destinations": [{"name": name, "type": "file", "path": str(folder / name)}]})
        for name, place in services.kept()
    ]  # fmt: skip
    own_place = {"name": "own", "type": "file", "path": str(folder / "own")}
    pair = '{"id": "{access_key_id}", "secret": "{secret_access_key}"}'
    pair_place = {"name": "pair", "type": "file", "path": str(folder / "pair"), "value": pair}
    return [
        ("aws_secret", {**services.aws.args, "secret": "acme/given", "value": value}),
        ("aws_access_key", {**services.aws.args, "user": "uploader", "file": str(folder / "key")}),
        ("github_secret", {**github, "repository": "acme/web", "secrets": [{"name": "A_CANARY", "value": value}],
                           **rotation, "name": "web", "fingerprint_key": services.master.text}),
        ("secret_rotation", {**rotation, "name": "declared", "provider": provider,
                             "destinations": services.places(folder, "value")}),
        ("secret_rotation", {**rotation, "name": "pair", "provider": user, "destinations": [pair_place]}),
        ("secret_rotation", {**rotation, "name": "own", "provider": services.own(folder), "destinations": [own_place],
                             "plugin_paths": [str(folder)]}),
        *generated,
    ]  # fmt: skip


def test_secrets_go_to_their_places_alone(services: Services, tmp_path: Path) -> None:
    """Done, and asked again in check mode, at the highest verbosity and with differences shown."""
    home, folder = tmp_path / "home", tmp_path / "places"
    folder.mkdir()
    run, said = ModuleRunner(home), []
    with watched_command_lines() as lines:
        for module, given in tasks(services, folder):
            given = {name: each for name, each in given.items() if module != "github_secret" or name != "secrets_key"}
            for check in (False, True):
                done = run(module, {**given, **LOUD}, check=check, diff=True, verbosity=5).ok()
                assert done.changed is not check, (module, done.result)
                said.append(done.everything)
    held = (services.github.vault("/repos/acme/web/actions").secrets["VALUE"].value, services.value.text)
    assert {*held, (folder / "value").read_text(encoding="utf-8")} == {services.value.text}
    assert services.awx.world().credentials["7"].inputs == {"password": services.value.text}
    assert services.value.quoted in (folder / "value-url").read_text(encoding="utf-8")
    made = tuple(services.made(folder))
    assert len(made) == 5
    assert (folder / "own").read_text(encoding="utf-8") == f"{services.value.text}-made"
    search = Search((services.key, services.token, services.value, services.master, services.identity, *made))
    asked = [line["target"] for each in services.stand_ins for line in each.requests()] + services.keys.log
    seen = search.places(
        [
            ("output", "\n".join(said)),
            ("command lines", "\n".join(lines)),
            ("addresses", "\n".join(asked)),
            *files(home),
            *files(folder / "store"),
        ]
    )
    assert not seen, {place: sorted(each.text for each in found) for place, found in seen.items()}
