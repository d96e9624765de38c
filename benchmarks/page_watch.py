"""Everything that a page of the battle shows, written down as it changes, and what of it is no truth.

A script in the page looks at every element with a name whenever the page changes. The judgement is a function of these
rows alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

RECORDER = """
(() => {
  window.__rows = [];
  let last = "";
  const look = () => {
    const asOf = document.getElementById("as-of")?.getAttribute("datetime");
    if (!asOf) return;
    const values = { link: document.body.dataset.link };
    for (const element of document.querySelectorAll("#app [id]")) {
      if (!element.querySelector("[id]") && !element.closest("svg, [hidden], #log, #toasts")) {
        values[element.id] = element.getAttribute("aria-valuenow") ?? element.textContent.trim();
      }
    }
    const text = asOf + JSON.stringify(values);
    if (text === last) return;
    last = text;
    window.__rows.push([asOf, values]);
  };
  const attributeFilter = ["aria-valuenow", "datetime", "hidden", "data-link"];
  const watched = { subtree: true, childList: true, characterData: true, attributeFilter };
  new MutationObserver(look).observe(document, watched);
})()
"""
"""For `Page.add_init_script`; `TAKE_ROWS` empties what it has written down."""
TAKE_ROWS = "() => window.__rows?.splice(0) ?? []"

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?")
GROWING = ("hero-xp", "hero-level", "stat-gold", "lane-completed", "checkpoint-step")
"""Nothing that a realm learns makes them smaller."""
GROWING_IN_A_QUEST = ("fact-rows", "fact-step", "percent")
NEVER_ZERO = (
    *GROWING,
    *GROWING_IN_A_QUEST,
    "fact-loss",
    "fact-rate",
    "fact-speed",
    "stat-atk",
    "stat-def",
    "checkpoint-loss",
)
"""Once they are another number, within a quest where they are one's own."""
KNOWN_FOR_EVER = ("hero-xp", "hero-level", "stat-gold", "lane-completed", "checkpoint-name")
"""They survive restarts: once there is a number in them, there always is."""
OF_A_FRAME = ("hero-", "stat-", "plain-", "fact-", "lane-", "percent", "quest-name", "rows-left", "health", "xp-bar")
"""What every viewer is shown in the same frame."""
GARBAGE = re.compile(r"\b(null|undefined|NaN|Infinity)\b|\[object")


class Row(NamedTuple):
    """What one page showed after one of its changes."""

    as_of: str
    """The realm's own time of what is shown; the same for every viewer of a frame."""
    values: Mapping[str, str]


def rows_of(taken: Iterable[Sequence[Any]]) -> list[Row]:
    return [Row(as_of, values) for as_of, values in taken]


def faults_of(rows: Sequence[Row]) -> list[str]:
    """What one page showed, in its order: every number that went to 0 or back, was known and is not, or is none."""
    return [*_gone_back(rows), *_gone_to_zero(rows), *_forgotten(rows), *_garbage(rows)]


def differences_of(first: Sequence[Row], second: Sequence[Row]) -> list[str]:
    """Where two pages showed another number of the same moment."""
    shown = {row.as_of: row.values for row in first}
    faults = []
    for as_of, values in {row.as_of: row.values for row in second}.items():
        for name, value in values.items():
            other = shown.get(as_of, {}).get(name, value)
            if name.startswith(OF_A_FRAME) and other != value:
                faults.append(f"{name} of {as_of}: {other!r} and {value!r}")
    return faults


def common_moments(first: Sequence[Row], second: Sequence[Row]) -> int:
    """How many moments both have shown."""
    return len({row.as_of for row in first} & {row.as_of for row in second})


def number_in(text: str | None) -> float | None:
    """The first number of a text."""
    found = NUMBER.search(text or "")
    return float(found[0].replace(",", "")) if found else None


def _key(name: str, values: Mapping[str, str]) -> str:
    return f"{name} of {values.get('quest-name')}" if name in GROWING_IN_A_QUEST else name


def _numbers(rows: Sequence[Row], names: Iterable[str]) -> Iterable[tuple[str, str, float]]:
    for row in rows:
        for name in names:
            number = number_in(row.values.get(name))
            if number is not None:
                yield row.as_of, _key(name, row.values), number


def _gone_back(rows: Sequence[Row]) -> list[str]:
    highest: dict[str, float] = {}
    faults = []
    for as_of, key, number in _numbers(rows, (*GROWING, *GROWING_IN_A_QUEST)):
        if number < highest.get(key, number):
            faults.append(f"{key} went back from {highest[key]:g} to {number:g} at {as_of}")
        highest[key] = max(number, highest.get(key, number))
    return faults


def _gone_to_zero(rows: Sequence[Row]) -> list[str]:
    known: set[str] = set()
    faults = []
    for as_of, key, number in _numbers(rows, NEVER_ZERO):
        if number != 0:
            known.add(key)
        elif key in known:
            faults.append(f"{key} went to 0 at {as_of}")
    return faults


def _forgotten(rows: Sequence[Row]) -> list[str]:
    known: set[str] = set()
    faults = []
    for row in rows:
        for name in KNOWN_FOR_EVER:
            value = row.values.get(name)
            if value is None:
                continue
            if number_in(value) is not None:
                known.add(name)
            elif name in known:
                faults.append(f"{name} was known and is {value!r} at {row.as_of}")
    return faults


def _garbage(rows: Sequence[Row]) -> list[str]:
    return [
        f"{name} is {value!r} at {row.as_of}"
        for row in rows
        for name, value in row.values.items()
        if GARBAGE.search(value)
    ]
