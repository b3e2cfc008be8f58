"""Who may ask what: users, passwords, and the statements that are refused.

Three fences, each by the engine's own means rather than by reading SQL ourselves:

1. grants and constraints in the engine's configuration (`config.py`) keep every user away from files, URLs and
   other servers;
2. a reader's session runs under `readonly = 2`, which no statement can lift;
3. the engine's parser says what a statement is (`StatementKind`) and what it names (`Syntax`), before it runs.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from enum import IntEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, SecretStr, TypeAdapter

from deploy.embedded.clickhouse.errors import Code, ServerError
from deploy.embedded.clickhouse.syntax import Syntax

# Table functions that make or reshape rows and reach nothing outside the data folder. Every other one the engine
# has is refused, so one that a later engine brings is refused until somebody has looked at it. Functions that take a
# structure as text (values, format, generateRandom, …) are not here: the text may hold DEFAULT file('…').
ALLOWED_TABLE_FUNCTIONS = frozenset({
    "generate_series", "generateseries", "loop", "merge", "mergetreeanalyzeindexes", "mergetreecodecblockcounts",
    "mergetreeindex", "mergetreeprojection", "mergetreetextindex", "numbers", "numbers_mt", "primes", "view",
    "viewexplain", "viewifpermitted", "zeros", "zeros_mt",
})  # fmt: skip
# The same for the engines of tables and databases.
ALLOWED_ENGINES = frozenset({
    "aggregatingmergetree", "atomic", "buffer", "coalescingmergetree", "collapsingmergetree", "join", "log",
    "materializedview", "memory", "merge", "mergetree", "null", "replacingmergetree", "set", "stripelog",
    "summingmergetree", "tinylog", "versionedcollapsingmergetree", "view",
})  # fmt: skip
# Ordinary functions that read files or call services; the engine lets them pass whatever the grants say.
REFUSED_FUNCTIONS = frozenset({"catboostevaluate", "file"})
REFUSED_FUNCTION_PREFIXES = ("ai",)  # aiGenerate, aiEmbed, …: they send data to a language model


#: The engine makes up the ids of queries; this is how ours are known.
OWN_SETTING = "log_comment"


class StatementKind(IntEnum):
    """What a statement leaves behind, least first; the numbers are chDB's `query_class`."""

    READ_ONLY = 0
    MUTATING = 1
    MUTATING_GLOBAL = 2
    CONTROL = 3
    UNKNOWN = 4


class User(BaseModel):
    """One account; `read` may only read, `write` may also insert and define tables."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    password: SecretStr
    access: Literal["read", "write"]


class Users:
    """The accounts the supervisor handed over, by name."""

    def __init__(self, by_name: Mapping[str, User]) -> None:
        if not by_name:
            raise ValueError("no users: nobody could connect")
        for name, user in by_name.items():
            if not name or ":" in name or not user.password.get_secret_value():
                raise ValueError(f"user {name!r}: a name without colon and a password are needed")
        self._by_name = dict(by_name)

    @classmethod
    def from_json(cls, text: str | bytes) -> Users:
        """Read `{"name": {"password": "…", "access": "read" | "write"}, …}`; ValueError says what is wrong."""
        return cls(TypeAdapter(dict[str, User]).validate_json(text))

    def authenticate(self, name: str, password: str) -> User:
        """The user of that name, or AUTHENTICATION_FAILED; equal time for a wrong name and a wrong password."""
        user = self._by_name.get(name)
        expected = user.password.get_secret_value() if user else "\0"
        matches = hmac.compare_digest(password.encode(), expected.encode())
        if user is None or not matches:
            raise ServerError.of(
                Code.AUTHENTICATION_FAILED,
                f"{name}: Authentication failed: password is incorrect, or there is no user with such name.",
            )
        return user


def check_kind(kind: StatementKind, statements: int, *, read_only: bool) -> None:
    """Refuse what a user of this access may not run at all, whatever tables it names."""
    if statements > 1:
        raise ServerError.of(Code.SYNTAX_ERROR, "Multi-statements are not allowed.")
    # What does not parse changes nothing: the engine gives it its own syntax error.
    if kind in (StatementKind.READ_ONLY, StatementKind.UNKNOWN):
        return
    if kind in (StatementKind.CONTROL, StatementKind.MUTATING_GLOBAL):
        raise ServerError.of(
            Code.ACCESS_DENIED,
            "Not allowed here: statements that act on the server, on a session or outside the data folder "
            "(SET, USE, SYSTEM, KILL, ATTACH, BACKUP, INTO OUTFILE, temporary tables, users, ...). "
            "Send settings and the database with each request instead.",
        )
    if read_only:
        raise ServerError.of(
            Code.READONLY,
            "Cannot execute query in readonly mode: this user may only read, or the request is no POST. "
            "What changes anything must be sent with the method POST, by a user that may write.",
        )


def check_syntax(syntax: Syntax, refused_functions: frozenset[str], never_named: frozenset[str]) -> None:
    """Refuse what reaches outside the data folder, and what would leave the engine without a database to open.

    Args:
        refused_functions: that may not be called.
        never_named: of these the ordinary functions: handed to another function, a name alone is a call.
    """
    for name in sorted(syntax.calls):
        if name in refused_functions or name.startswith(REFUSED_FUNCTION_PREFIXES):
            raise _not_granted(f"{name}() reaches outside the data folder")
    for name in sorted(syntax.references & never_named):
        raise _not_granted(f"{name} is a function that reaches outside the data folder; quote no column by this name")
    if OWN_SETTING in syntax.settings:
        raise _not_granted(f"by {OWN_SETTING} a query is found again when its client has gone")
    for name in sorted(syntax.engines - ALLOWED_ENGINES):
        raise _not_granted(f"the engine {name} keeps or reads data outside the data folder")
    if syntax.reads_client_file:
        raise _not_granted("FROM INFILE reads a file of the server; send the rows in the body")
    if syntax.defines_disk:
        raise _not_granted("a disk of its own lies outside the data folder")
    if syntax.removes_database == "default":
        raise _not_granted("every connection opens the database default")


def _not_granted(why: str) -> ServerError:
    return ServerError.of(Code.ACCESS_DENIED, f"Not enough privileges: {why}.")
