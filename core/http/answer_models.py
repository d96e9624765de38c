"""Models of what sites send. They describe answers in the OpenAPI document, and tests hold real answers to them.

Nothing that serves needs them: the document loads them when somebody asks for it, by the names that endpoints give.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """Base of all models of answers, which stand in the `answers.py` of their rooms."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class ErrorAnswer(Answer):
    """What every answer from 400 on looks like."""

    error: str
    """A code for programs, such as `not_found`."""
    message: str
    """One sentence or two for people: what happened, and what to do next."""
    details: Any
    """Further facts, mostly an object; null when there are none."""


class Health(Answer):
    """Whether a site is healthy."""

    # A site may tell more about itself.
    model_config = ConfigDict(extra="allow")

    status: str
    """`healthy`, of the API of a skill `ok`, or what keeps it from that."""
    service: str
    timestamp: str
    """When this was told, ISO 8601 UTC."""
    version: str | None = None
    state: str | None = None
    """What training does at the moment."""


class Alive(Answer):
    """That a process answers, and nothing more."""

    status: str
    service: str


class Route(Answer):
    """One thing that can be asked for."""

    method: str
    path: str
    summary: str


class Index(Answer):
    """What a site serves."""

    service: str
    endpoints: list[Route]
    docs: str | None
    """Where a browser finds the documents of all sites; null for a site that knows of none."""


class LoggedIn(Answer):
    """How the asking browser came in."""

    login: bool
    """Whether it has logged in, and so can log out; false where no login is wanted."""
