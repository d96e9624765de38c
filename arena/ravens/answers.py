"""What `/api/notifications` sends, as models; addresses are secrets and masked."""

from __future__ import annotations

from core.http.answer_models import Answer


class RavenTarget(Answer):
    """Somebody who is told."""

    id: str
    """Names it in a test; says nothing about its address."""
    shown: str
    """The service alone, such as `discord://…`."""
    sent_at: str | None
    """When the last message was taken, since the realm came up."""
    trouble: str | None
    """Why the last one was not."""


class Notifications(Answer):
    """Who is told of what."""

    events: list[str]
    """Of what they are told: `notifications.events`."""
    kinds: dict[str, list[str]]
    """By what `notifications.events` may name, the kinds of events that belong to it; the page's own notifications
    go by the same table."""
    targets: list[RavenTarget]


class Trial(Answer):
    """What became of a test message."""

    id: str
    shown: str
    taken: bool
    """Whether the service took it; whether it reached you, only you can tell."""
    why: str | None


class Trials(Answer):
    """One for each target."""

    results: list[Trial]
