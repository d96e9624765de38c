"""Which of the things that are wrong with the settings a change is to blame for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.errors import RealmError


def problems(check: Callable[[], object]) -> list[str]:
    """Everything that `check` finds wrong, a sentence each, beginning with the setting that it is about."""
    try:
        check()
    except RealmError as error:
        return list(error.details.get("errors") or [str(error)])
    return []


def blamed(before: Sequence[str], after: Sequence[str], names: Sequence[str]) -> list[str]:
    """What was not wrong before a change of `names`, and is their doing.

    A file with several errors is mended one by one: an error that was there before does not stand in the way. Once all
    numbers are right, more is looked at: what then comes to light is not the new value's doing either.
    """
    added = [problem for problem in after if problem not in before]
    return [problem for problem in added if any(name in problem for name in names)] if before else added
