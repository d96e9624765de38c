"""A change of the settings before it is made: what the file will say, what is wrong with that, what will be another."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from arena.armory.catalogue import items
from arena.armory.effects import WORDS, effect_of
from arena.armory.sources import Sources
from core.errors import Conflict, RealmError
from core.masking import without_addresses
from core.settings_reading import check_setting_name, secret_settings
from core.shell.change_check import blamed, problems
from core.shell.config_file import Wish
from core.shell.config_lines import without_secrets

CheckFile = Callable[[Path], object]
"""Checks all that a start checks, with this file in place of the realm's own; raises a `RealmError`."""


class SettingsRefused(Conflict):
    """These settings cannot be used."""

    code = "settings_refused"


MOST_DIFF_LINES = 400
MAX_LENGTH = "hyperparams.max_length"


@dataclass(frozen=True)
class Finding:
    """Something about a change that people should know."""

    field: str | None
    message: str
    severity: str
    """`error` keeps it from being saved, `warning` does not."""

    def to_json(self) -> dict[str, Any]:
        return {"field": self.field, "message": without_addresses(self.message), "severity": self.severity}


def refusal(findings: Sequence[Finding]) -> SettingsRefused:
    """The error that tells of all that is wrong; secrets are hidden."""
    told = [without_addresses(finding.message) for finding in findings if finding.severity == "error"]
    return SettingsRefused(" ".join(told), errors=told, findings=[finding.to_json() for finding in findings])


@dataclass(frozen=True)
class Draft:
    """What a wish would make of the file."""

    wish: Wish
    text: str
    findings: list[Finding]
    diff: list[str]

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "error"]


def draft(sources: Sources, wish: Wish, check: CheckFile) -> Draft:
    """Try the wish on a copy of the file; nothing is written that stays."""
    if unknown := [finding for name in wish.names if (finding := _unknown(name)) is not None]:
        return Draft(wish, sources.text or "", unknown, [])
    try:
        text = wish.applied(sources.text or "")
    except RealmError as error:
        return Draft(wish, sources.text or "", [Finding(None, str(error), "error")], [])
    found = errors_of(sources.text, text, wish.names, check)
    return Draft(wish, text, [*found, *_warnings(sources, wish)], shown_diff(sources.text or "", text))


def errors_of(before: str | None, after: str, names: Sequence[str], check: CheckFile) -> list[Finding]:
    """What is wrong with the new text: errors where the change is to blame, warnings where it was so before."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "realm.yaml"
        wrong = []
        for text in (before or "", after):
            file.touch(mode=0o600)
            file.write_text(text, encoding="utf-8")
            wrong.append([told.replace(str(file), "realm.yaml") for told in problems(lambda: check(file))])
    to_blame = blamed(wrong[0], wrong[1], names)
    return [Finding(field_of(each), each, "error" if each in to_blame else "warning") for each in wrong[1]]


def shown_diff(before: str, after: str) -> list[str]:
    """The lines that differ, with what stands around them; secrets are hidden."""
    secrets = set(secret_settings())
    old, new = (without_secrets(text, secrets).splitlines() for text in (before, after))
    lines = list(difflib.unified_diff(old, new, n=2, lineterm=""))[2:]
    more = len(lines) - MOST_DIFF_LINES
    return [*lines[:MOST_DIFF_LINES], *([f"… and {more} more lines"] if more > 0 else [])]


def field_of(problem: str) -> str | None:
    """The setting that a sentence of the checks begins with."""
    found = re.match(r"([a-z_]+(?:\.[a-z_]+)*)(?:\.\d+|\.[^ :]+)?(?::| is )", problem)
    name = found[1] if found else ""
    # A part of a value is told as `retention.keep.0`.
    while name and name not in items():
        name = name.rpartition(".")[0]
    return name or None


def told_change(name: str, before: Any, after: Any) -> dict[str, Any]:
    """One setting that becomes another, without telling a secret."""
    secret = name in secret_settings()
    return {
        "name": name,
        "before": None if secret else before,
        "after": None if secret else after,
        "secret": secret,
        "takes_effect": effect_of(name),
        "when": WORDS[effect_of(name)],
    }


def _unknown(name: str) -> Finding | None:
    try:
        check_setting_name(name)
    except RealmError as error:
        return Finding(None, str(error), "error")
    return None


def _warnings(sources: Sources, wish: Wish) -> list[Finding]:
    found = [
        Finding(name, f"{name} comes from {origin}, which wins over the file.", "warning")
        for name in wish.names
        if (origin := sources.origins.get(name))
    ]
    if MAX_LENGTH in wish.names:
        text = "Until the realm starts again, it takes no other change of the settings either."
        found.append(Finding(MAX_LENGTH, text, "warning"))
    found += [
        Finding(name, f"{name} is without effect: {items()[name].help}", "warning")
        for name in wish.names
        if effect_of(name) == "never"
    ]
    return found


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All settings that differ, in the order of the file."""
    return [
        told_change(name, before.get(name), after.get(name))
        for name in items()
        if before.get(name) != after.get(name)
    ]  # fmt: skip
