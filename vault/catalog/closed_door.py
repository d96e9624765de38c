"""What stands in the place of a catalog's file that cannot be opened now: nobody gets in, and everybody is told why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from core.errors import Unavailable


class ClosedDoor:
    """To be used as a `Database` is."""

    was_corrupt: Path | None = None
    on_damage: Callable[[], None] | None = None
    is_damaged = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.why = Unavailable(f"The database {path} is not open.")

    @contextmanager
    def write(self) -> Iterator[Any]:
        """Raises why it cannot be opened."""
        self._refuse()
        yield

    @contextmanager
    def read(self) -> Iterator[Any]:
        """The same."""
        self._refuse()
        yield

    def peek(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        """The same."""
        self._refuse()

    def replace_if_damaged(self) -> None:
        """Nothing was met yet."""

    def close(self) -> None:
        """Nothing is open."""

    def _refuse(self) -> NoReturn:
        raise Unavailable(self.why.message, hint=self.why.hint)
