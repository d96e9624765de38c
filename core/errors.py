"""The realm's expected failures: each says what happened, where, and what to do next.

    RealmError                 400  expected, the user can act on it (CLI exit code 1)
    ├── InvalidInput           400  a value, file or request is wrong
    ├── NotFound               404  the thing asked for is not there
    ├── Conflict               409  the thing is in a state that forbids this
    └── Unavailable            503  a part of the realm is away; trying again may help
        └── Unreached          503  another host has not answered at all: it is not waited for

A class docstring is the message when none is given. Anything else that reaches a user is a bug (exit code 3).
"""

from __future__ import annotations

from typing import Any, ClassVar


class RealmError(Exception):
    """The realm could not do that."""

    code: ClassVar[str] = "realm_error"
    http_status: ClassVar[int] = 400

    def __init__(self, message: str | None = None, *, hint: str | None = None, **details: Any) -> None:
        self.message = message or (self.__doc__ or "").strip().splitlines()[0]
        self.hint = hint
        self.details = details
        super().__init__(self.message)

    def __str__(self) -> str:
        # Behind a message of several lines, such as one that points at a place in a file, it stands on its own.
        between = "\n" if "\n" in self.message else " "
        return f"{self.message}{between}{self.hint}" if self.hint else self.message

    def to_json(self) -> dict[str, Any]:
        """The body of an HTTP error answer (DESIGN section 8)."""
        return {"error": self.code, "message": str(self), "details": self.details or None}


class InvalidInput(RealmError):
    """A value is not valid."""

    code = "invalid_input"


class NotFound(RealmError):
    """It was not found."""

    code = "not_found"
    http_status = 404


class Conflict(RealmError):
    """The present state does not allow this."""

    code = "conflict"
    http_status = 409


class Unavailable(RealmError):
    """That part of the realm is away at the moment."""

    code = "unavailable"
    http_status = 503


class Unreached(Unavailable):
    """Nobody listens there."""


def first_line(error: Exception) -> str:
    """The first line of what another library's error says, fit for the middle of a sentence; else its name."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".:") if lines else type(error).__name__
