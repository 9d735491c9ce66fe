# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Databases and stores that tests own: fresh ones on the session's servers."""

from __future__ import annotations

import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client  # type: ignore[import-not-found,unused-ignore]

    from sandbox import PostgresServer, S3Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A database of a test's own on a real server."""

    name: str
    server: PostgresServer

    @property
    def args(self) -> dict[str, Any]:
        """The options with which a module reaches it."""
        return {
            "login_host": self.server.host,
            "login_port": self.server.port,
            "login_user": self.server.user,
            "login_password": self.server.password,
            "database": self.name,
            "bindir": [str(self.server.bindir)],
        }

    @property
    def url(self) -> str:
        """As a product's environment would hold it."""
        server = self.server
        return f"postgresql://{server.user}:{server.password}@{server.host}:{server.port}/{self.name}"

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        """An autocommit connection; use it as a context manager."""
        return psycopg.connect(self.url, autocommit=True, **options)

    def execute(self, statement: str, *values: Any) -> None:
        """Run one statement, or several where there are no values."""
        with self.connect() as connection:
            connection.execute(statement.encode(), values or None)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self.connect() as connection:
            return connection.execute(query.encode(), values or None).fetchall()

    def value(self, query: str, *values: Any) -> Any:
        """The first column of the only row."""
        ((first, *_rest),) = self.rows(query, *values)
        return first

    def sibling(self, name: str) -> Database:
        """Another database of the same server, such as a restore's target; not made by this."""
        return Database(name=name, server=self.server)


@contextmanager
def fresh_database(server: PostgresServer, prefix: str = "t") -> Iterator[Database]:
    """An empty database, dropped at the end together with everything whose name begins with its name."""
    database = Database(name=f"{prefix}_{secrets.token_hex(4)}", server=server)
    maintenance = database.sibling("postgres")
    with maintenance.connect() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database.name)))
    try:
        yield database
    finally:
        with maintenance.connect() as connection:
            names = connection.execute(
                "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (database.name,)
            ).fetchall()
            for (name,) in names:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@dataclass(frozen=True, kw_only=True)
class StoreAt(ABC):
    """A store of a test's own. ``args`` go to a module, beside ``environment`` and ``name``."""

    url: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def args(self) -> dict[str, Any]:
        """The options with which a module reaches it."""
        return {"store": self.url, **self.options}

    @abstractmethod
    def keys(self, prefix: str = "") -> list[str]:
        """Every key below ``prefix``, relative to the store, sorted; temporary files of a file store left out."""

    @abstractmethod
    def read(self, key: str) -> bytes:
        """An object's content."""

    @abstractmethod
    def write(self, key: str, body: bytes) -> None:
        """Put an object there, or replace it, behind the collection's back."""

    @abstractmethod
    def remove(self, key: str) -> None:
        """Delete an object behind the collection's back."""


@dataclass(frozen=True, kw_only=True)
class FileStoreAt(StoreAt):
    """``file:///...``"""

    directory: Path

    def keys(self, prefix: str = "") -> list[str]:
        found = (path for path in self.directory.rglob("*") if path.is_file())
        names = (path.relative_to(self.directory).as_posix() for path in found if not path.name.startswith("."))
        return sorted(name for name in names if name.startswith(prefix))

    def read(self, key: str) -> bytes:
        return (self.directory / key).read_bytes()

    def write(self, key: str, body: bytes) -> None:
        path = self.directory / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def remove(self, key: str) -> None:
        (self.directory / key).unlink()


@dataclass(frozen=True, kw_only=True)
class S3StoreAt(StoreAt):
    """``s3://bucket/prefix`` on the session's S3 server. ``env`` holds its credentials for playbooks."""

    bucket: str
    prefix: str
    server: S3Server

    @cached_property
    def client(self) -> S3Client:
        """A boto3 client of the server."""
        return s3_client(self.server)

    @property
    def env(self) -> dict[str, str]:
        """The credentials as boto3 finds them in the environment."""
        return {
            "AWS_ACCESS_KEY_ID": self.server.access_key,
            "AWS_SECRET_ACCESS_KEY": self.server.secret_key,
            "AWS_ENDPOINT_URL": self.server.endpoint_url,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def keys(self, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self._key(prefix))
        return sorted(item["Key"][len(self.prefix) + 1 :] for page in pages for item in page.get("Contents", []))

    def read(self, key: str) -> bytes:
        body: bytes = self.client.get_object(Bucket=self.bucket, Key=self._key(key))["Body"].read()
        return body

    def write(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=self._key(key), Body=body)

    def remove(self, key: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=self._key(key))

    def unfinished(self) -> list[str]:
        """The keys of multipart uploads that were begun and neither completed nor aborted."""
        answer = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=f"{self.prefix}/")
        return [item["Key"] for item in answer.get("Uploads", [])]

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}"


def s3_client(server: S3Server) -> S3Client:
    """A boto3 client of the sandbox's S3 server, path style, quick to give up."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 3, "mode": "standard"}),
    )


def fresh_s3_store(server: S3Server, bucket: str, prefix: str | None = None) -> S3StoreAt:
    """A store below a prefix that nobody has used."""
    prefix = prefix or f"t/{secrets.token_hex(6)}"
    return S3StoreAt(
        url=f"s3://{bucket}/{prefix}",
        options={
            "access_key": server.access_key,
            "secret_key": server.secret_key,
            "endpoint_url": server.endpoint_url,
            "region": "us-east-1",
            "addressing_style": "path",
        },
        bucket=bucket,
        prefix=prefix,
        server=server,
    )


def fresh_file_store(directory: Path) -> FileStoreAt:
    """A store in a directory, which is made."""
    directory.mkdir(parents=True)
    return FileStoreAt(url=f"file://{directory}", directory=directory)


def without_extension(bindir: Path, extension: str, directory: Path) -> Path:
    """The same installation of PostgreSQL without one extension."""
    source = bindir.parent
    made = directory / "postgresql"
    (made / "share").mkdir(parents=True)
    (made / "bin").mkdir()
    for each in (source / "bin").iterdir():
        # A program finds the rest by its own place.
        os.link(each.resolve(), made / "bin" / each.name)
    (made / "lib").symlink_to(source / "lib")
    share = next(path.parent for path in (source / "share").rglob("extension") if path.is_dir())
    target = made / share.relative_to(source)
    target.mkdir(parents=True, exist_ok=True)
    for each in share.iterdir():
        if each.name != "extension":
            os.symlink(each, target / each.name)
    (target / "extension").mkdir()
    for each in (share / "extension").iterdir():
        if not each.name.startswith(extension):
            os.symlink(each, target / "extension" / each.name)
    return made / "bin"
