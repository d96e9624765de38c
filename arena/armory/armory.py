"""The Armory's service: shows all settings, tries changes, writes them into `configs/realm.yaml`, takes them back.

That file, and the `REALM_*` environment above it, is the one source (F12); every change here is one that `realm config`
could have made, by the same code, and an event says who has changed what.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from arena.armory.catalogue import Chapter, Item, chapters, items, plain
from arena.armory.drafts import (
    Draft,
    Finding,
    SettingsRefused,
    changes_between,
    draft,
    errors_of,
    field_of,
    refusal,
    shown_diff,
    told_change,
)
from arena.armory.effects import WORDS, effect_of
from arena.armory.seals import Seals
from arena.armory.sources import Sources, flat_settings, look, of_hero, values_in
from arena.command.live_settings import LiveSettings
from arena.heroes import Hero, hero_files, load_hero
from arena.journal import JOURNAL_NAME, read_history
from arena.start_check import read_setup
from core.errors import Conflict, NotFound, RealmError
from core.masking import HIDDEN, without_addresses
from core.paths import RealmPaths
from core.saga import News, Saga
from core.settings import Settings
from core.shell.change_check import problems
from core.shell.config_file import Wish, write_settings
from core.shell.settings_history import Version, keep_default, kept_default, version, versions
from guild.profiles import profile_names

LOCKED = ("hero", "model_name", "hyperparams.max_length")
"""Once the hero has trained (`arena.locked_settings`)."""


class Armory:
    """One per daemon. Its methods read and write files: they are called in threads."""

    def __init__(
        self,
        paths: RealmPaths,
        live: LiveSettings,
        saga: Saga,
        overrides: Mapping[str, Any],
    ) -> None:
        """`live` holds what the realm began with; `overrides` are those of its command line."""
        self._paths = paths
        self._live = live
        self._saga = saga
        self._overrides = overrides
        self._seals = Seals()
        self.at_start = self.at_trainer_start = live.current
        """In force for what is read at these moments alone."""
        self._told: Settings | None = None
        """What is in force after our own last change, of which an event tells already."""
        live.on_change = self._note_change

    # --- looking ----------------------------------------------------------------------------------------------

    def view(self) -> dict[str, Any]:
        """Everything that the page shows."""
        sources = self._look()
        hero = self._hero(sources)
        wrong = [sources.unread] if sources.unread else problems(lambda: self._check(self._paths.config_file))
        locked = self._lock()
        return {
            "file": str(self._paths.config_file),
            "exists": sources.text is not None,
            "etag": sources.mark,
            "valid": not wrong,
            "problems": [Finding(field_of(each), each, "error").to_json() for each in wrong],
            "effects": dict(WORDS),
            "sections": [self._section(chapter, sources, hero, locked) for chapter in chapters()],
        }

    def _section(self, chapter: Chapter, sources: Sources, hero: Hero | None, locked: str | None) -> dict[str, Any]:
        settings = [self._setting(item, sources, hero, locked) for item in chapter.items]
        return {"name": chapter.name, "help": chapter.help, "settings": settings}

    def _setting(self, item: Item, sources: Sources, hero: Hero | None, locked: str | None) -> dict[str, Any]:
        name, form = item.name, item.form
        value, in_force = sources.value(name), self._in_force(name)
        origin = sources.origins.get(name)
        is_locked = locked if name in LOCKED else None
        fixed = f"It comes from {origin}, which wins over the file." if origin else is_locked
        return {
            "name": name,
            "help": item.help,
            "kind": form.kind,
            "nullable": form.nullable,
            "choices": list(form.choices),
            "words": list(form.words),
            "limits": form.limits,
            "suggestions": self._suggestions(name),
            "default": item.default,
            "value": self._seals.shown(value) if item.is_secret else value,
            "of_hero": None if item.is_secret else plain(of_hero(name, hero)),
            "source": sources.source(name, hero),
            "in_force": None if item.is_secret else in_force,
            "pending": in_force != value and effect_of(name) != "never",
            "takes_effect": effect_of(name),
            "secret": item.is_secret,
            "locked": is_locked,
            "fixed": fixed,
        }

    def _suggestions(self, name: str) -> list[str]:
        if name == "hero":
            return list(hero_files(self._paths))
        return profile_names() if name == "profile.name" else []

    def _in_force(self, name: str) -> Any:
        moments = {"realm_start": self.at_start, "trainer_start": self.at_trainer_start}
        return flat_settings(moments.get(effect_of(name), self._live.current))[name]

    def _lock(self) -> str | None:
        """Why the hero's own settings must stay as they are; None while it has not trained."""
        if read_history(self._paths.current_model / JOURNAL_NAME).genesis is None:
            return None
        return "The present model was trained with it. `realm hero use` changes the hero, and archives this model."

    # --- trying ------------------------------------------------------------------------------------------------

    def check(self, changes: Mapping[str, Any], resets: list[str]) -> dict[str, Any]:
        """What is wrong with a change, and what it would make of the file. Writes nothing."""
        sources = self._look()
        tried = self._draft(sources, changes, resets)
        return {
            "etag": sources.mark,
            "valid": not tried.errors,
            "findings": [finding.to_json() for finding in tried.findings],
            "diff": tried.diff,
            "changes": self._changes(sources, tried),
        }

    def new_addresses(self, changes: Mapping[str, Any]) -> list[str]:
        """Addresses of notifications that a change would add, as they were written."""
        targets = changes.get("notifications.targets")
        return [target for target in targets if isinstance(target, str)] if isinstance(targets, list) else []

    def settings_with(self, changes: Mapping[str, Any], resets: list[str]) -> tuple[Settings, Hero, Settings]:
        """The settings of the next start as they are, their hero, and those with a change; raises `SettingsRefused`."""
        sources = self._look()
        tried = self._draft(sources, changes, resets)
        if tried.errors:
            raise refusal(tried.findings)
        try:
            before = read_setup(self._paths, self._overrides)
            return before.settings, before.hero, self._settings_of(tried.text)
        except RealmError as error:  # what was wrong before does not count as the change's fault
            raise SettingsRefused(without_addresses(str(error))) from error

    def _draft(self, sources: Sources, changes: Mapping[str, Any], resets: list[str]) -> Draft:
        if sources.unread is not None:
            return Draft(Wish({}), "", [Finding(None, sources.unread, "error")], [])
        try:
            wish = self._wish(sources, changes, resets)
        except RealmError as error:
            return Draft(Wish({}), "", [Finding(field_of(str(error)), str(error), "error")], [])
        return draft(sources, wish, self._check)

    def _wish(self, sources: Sources, changes: Mapping[str, Any], resets: list[str]) -> Wish:
        """With secrets put in, and values as the settings understand them: `1e-4` is a number."""
        known = items()
        opened = {
            name: self._seals.opened(name, value, sources.value(name))
            if name in known and known[name].is_secret
            else value
            for name, value in changes.items()
        }
        defaults = {name: known[name].default for name in resets if name in known}
        return Wish({name: _understood(name, value) for name, value in opened.items()}, resets, defaults)

    def _changes(self, sources: Sources, tried: Draft) -> list[dict[str, Any]]:
        known = items()
        after = {**tried.wish.changes, **{name: known[name].default for name in tried.wish.resets if name in known}}
        pairs = ((name, sources.value(name), value) for name, value in after.items() if name in known)
        return [told_change(name, before, value) for name, before, value in pairs if before != value]

    # --- changing ----------------------------------------------------------------------------------------------

    def save(self, etag: str, changes: Mapping[str, Any], resets: list[str], by: str) -> dict[str, Any]:
        """Write a change. Raises `SettingsRefused` with all findings, and `Conflict` when `etag` is of another text."""
        sources = self._look()
        _check_mark(sources, etag)
        tried = self._draft(sources, changes, resets)
        if tried.errors:
            raise refusal(tried.findings)
        return self._write(sources, lambda text: tried.wish.applied(text), tried.wish.names, by)

    def restore(self, number: int, etag: str, by: str) -> dict[str, Any]:
        """Put the file back as it was before a change; what it was until now is in the history too."""
        found = version(self._paths.config_file, number)
        return self._go_back(found, etag, f"{by}, going back to before change {number}")

    def save_default(self, etag: str, by: str) -> dict[str, Any]:
        """Keep the present file as the default, in the place of the one before. Raises as `save` does."""
        sources = self._look()
        _check_mark(sources, etag)
        if sources.unread is not None or (wrong := problems(lambda: self._check(self._paths.config_file))):
            told = [sources.unread] if sources.unread is not None else wrong
            raise refusal([Finding(field_of(each), each, "error") for each in told])
        now = datetime.now(UTC)
        kept = _kept(keep_default(self._paths.config_file, sources.text or "", by=by, now=now))
        message = f"The settings are kept as the default by {by}"
        self._saga.tell([News("settings_kept", message, {"by": by})], now=now)
        return kept

    def restore_default(self, etag: str, by: str) -> dict[str, Any]:
        """Put the file back as it was kept; raises `NotFound` where none is."""
        return self._go_back(self._default(), etag, f"{by}, going back to the default that was kept")

    def _go_back(self, found: Version, etag: str, by: str) -> dict[str, Any]:
        sources = self._look()
        _check_mark(sources, etag)
        if wrong := [each for each in self._findings_of(sources, found) if each.severity == "error"]:
            raise refusal(wrong)
        names = [change["name"] for change in self._restored(sources, found)]
        return self._write(sources, lambda text: found.text, names, by)

    def _write(self, sources: Sources, edit: Callable[[str], str], names: list[str], by: str) -> dict[str, Any]:
        now = datetime.now(UTC)
        text = edit(sources.text or "")
        changes = changes_between(values_in(sources.text), values_in(text))
        # Before the file is another: from then on the realm may read it at any moment.
        self._told = self._settings_or_none(text)
        written = write_settings(self._paths.config_file, lambda old: text, names=names, by=by, expected=sources.mark)
        if written is not None:
            told = "; ".join(map(_told, changes)) or "the file only, no value"
            data = {"by": by, "version": written.version, "changes": changes}
            self._saga.tell([News("settings_changed", f"Settings changed by {by}: {told}", data)], now=now)
        self._live.newest(time.monotonic())
        return {"etag": self._look().mark, "version": written.version if written else None, "changes": changes}

    def _note_change(self, before: Settings, after: Settings) -> None:
        """Settings were read anew: an event, unless the change was made here."""
        told, self._told = self._told, None
        if after == told:
            return
        changes = changes_between(flat_settings(before), flat_settings(after))
        if changes:
            message = f"Settings changed in {self._paths.config_file.name}: {'; '.join(map(_told, changes))}"
            data = {"by": "the file itself", "version": None, "changes": changes}
            self._saga.tell([News("settings_changed", message, data)], now=datetime.now(UTC))

    # --- the history -------------------------------------------------------------------------------------------

    def history(self) -> dict[str, Any]:
        """Changes by program that can be taken back, the newest first; and the default, None where none was kept."""
        kept = kept_default(self._paths.config_file)
        found = [_listed(each) for each in versions(self._paths.config_file)]
        return {"versions": found, "default": _kept(kept) if kept is not None else None}

    def past(self, number: int) -> dict[str, Any]:
        """One of them, with what going back to before it would change. Raises `NotFound`."""
        found = version(self._paths.config_file, number)
        return {**_listed(found), **self._way_back(found)}

    def default(self) -> dict[str, Any]:
        """What was kept, with what going back to it would change. Raises `NotFound`."""
        found = self._default()
        return {**_kept(found), **self._way_back(found)}

    def _default(self) -> Version:
        found = kept_default(self._paths.config_file)
        if found is None:
            raise NotFound("No settings were kept as the default.", hint="Keep the present ones first.")
        return found

    def _way_back(self, found: Version) -> dict[str, Any]:
        sources = self._look()
        findings = self._findings_of(sources, found)
        return {
            "etag": sources.mark,
            "valid": all(finding.severity != "error" for finding in findings),
            "findings": [finding.to_json() for finding in findings],
            "diff": shown_diff(sources.text or "", found.text),
            "changes": self._restored(sources, found),
        }

    def _restored(self, sources: Sources, found: Version) -> list[dict[str, Any]]:
        return changes_between(values_in(sources.text), values_in(found.text))

    def _findings_of(self, sources: Sources, found: Version) -> list[Finding]:
        changed = [change["name"] for change in self._restored(sources, found)]
        findings = errors_of(sources.text, found.text, changed, self._check)
        if "hero" in changed:
            # `hero use` moves models along with the setting: going back alone would leave a hero without his own.
            text = "The hero was changed since then: `realm hero use` goes back and brings the model along."
            findings.append(Finding("hero", text, "error"))
        return findings

    # --- parts -------------------------------------------------------------------------------------------------

    def _look(self) -> Sources:
        return look(self._paths.config_file, self._overrides)

    def _check(self, file: Path) -> object:
        return read_setup(self._paths, self._overrides, config_file=file)

    def _hero(self, sources: Sources) -> Hero | None:
        try:
            return load_hero(self._paths, str(sources.value("hero")))
        except RealmError:
            return None

    def _settings_or_none(self, text: str | None) -> Settings | None:
        try:
            return self._settings_of(text or "")
        except RealmError:
            return None

    def _settings_of(self, text: str) -> Settings:
        with TemporaryDirectory() as folder:
            file = Path(folder) / self._paths.config_file.name
            file.touch(mode=0o600)
            file.write_text(text, encoding="utf-8")
            return read_setup(self._paths, self._overrides, config_file=file).settings


def _check_mark(sources: Sources, etag: str) -> None:
    if etag != sources.mark:
        raise Conflict("The settings have been changed meanwhile.", hint="Look at them again, then save.")


def _understood(name: str, value: Any) -> Any:
    """A number that was sent as text, as one; everything else is left to the check."""
    item = items().get(name)
    if item is None or not isinstance(value, str) or item.form.kind not in ("whole", "number"):
        return value
    if value in item.form.words:
        return value
    try:
        return int(value) if item.form.kind == "whole" else float(value)
    except ValueError:
        return value


def _told(change: Mapping[str, Any]) -> str:
    if change["secret"]:
        return f"{change['name']} ({HIDDEN})"
    return f"{change['name']} {_short(change['before'])} → {_short(change['after'])}"


def _short(value: Any) -> str:
    text = "–" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _kept(found: Version) -> dict[str, Any]:
    return {"at": found.at, "by": found.by}


def _listed(found: Version) -> dict[str, Any]:
    return {"number": found.number, "at": found.at, "by": found.by, "names": list(found.names)}
