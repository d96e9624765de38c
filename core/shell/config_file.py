"""Changing settings in `configs/realm.yaml` by program: comments and order stay, and the file before is kept.

ruamel.yaml does the editing; it sets in all sections as deep as the first one. A setting that stands there commented
out, as the shipped file has them all, is uncommented in its place; one that is not there at all goes into its section.
"""

from __future__ import annotations

import difflib
import io
import re
import stat
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from core.errors import Conflict, InvalidInput, NotFound
from core.file_lock import locked_directory
from core.files import DISK, Files
from core.settings_reading import secret_settings
from core.shell.config_lines import commented_out
from core.shell.settings_history import PRIVATE, keep_version

BACKUP_SUFFIX = ".bak"
UNDONE_SUFFIX = ".undone"
PLACEHOLDER = "the_new_value_of_this_setting"
UNBROKEN = 1 << 20
"""Columns of a line: ruamel would fold long ones."""


@dataclass(frozen=True)
class Wish:
    """What is to become of a settings file."""

    changes: Mapping[str, Any]
    """By dotted name, such as `hyperparams.max_length`; None writes `null`."""
    resets: Collection[str] = ()
    """Names that go back to their defaults: their lines become comments again."""
    defaults: Mapping[str, Any] | None = None
    """Of the `resets`."""

    @property
    def names(self) -> list[str]:
        return [*self.changes, *self.resets]

    def applied(self, text: str) -> str:
        """The YAML `text` with the wish fulfilled, everything else as it was."""
        for name in self.resets:
            text = _without_setting(text, name, (self.defaults or {}).get(name))
        return with_settings(text, self.changes)


@dataclass(frozen=True)
class Written:
    """A change that was made."""

    backup: Path | None
    """The file before; None when there was none."""
    version: int
    """Its number in the history."""


def change_settings(
    config_file: Path, changes: Mapping[str, Any], *, by: str = "realm config set", files: Files = DISK
) -> Path | None:
    """Set each dotted name of `changes`, such as `hyperparams.max_length`, to its value; None writes `null`.

    The file before is kept as `realm.yaml.bak`, whose path is returned, and in the history; None when nothing had to
    change. A missing file is made. The values are not checked here. Raises `InvalidInput` for a file that is no YAML
    mapping.
    """
    written = write_settings(config_file, Wish(changes).applied, names=list(changes), by=by, files=files)
    return written.backup if written else None


def write_settings(
    config_file: Path,
    edit: Callable[[str], str],
    *,
    names: Collection[str],
    by: str,
    expected: str | None = None,
    files: Files = DISK,
) -> Written | None:
    """Replace the text of the file by what `edit` makes of it; None when that is the same.

    With a secret among the `names`, the file and its backup are the owner's alone from then on. Raises `Conflict`, and
    changes nothing, when `expected` is given and is not the `mark_of` the present text.
    """
    # A link leads to the file that is meant (people keep their settings in a repository of their own).
    file = config_file.resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    with locked_directory(file.parent):
        before = _read(file)
        if expected is not None and mark_of(before) != expected:
            raise Conflict(f"{config_file.name} has been changed meanwhile.", hint="Look at it again, then save.")
        after = edit(before or "")
        if after == before:
            return None
        version = keep_version(file, before or "", by=by, names=list(names), now=datetime.now(UTC), files=files)
        backup = file.with_name(file.name + BACKUP_SUFFIX)
        mode = PRIVATE if secret_settings() & set(names) else _mode(file)
        if before is not None:
            files.write_atomic(backup, before.encode(), durable=True, mode=mode)
        files.write_atomic(file, after.encode(), durable=True, mode=mode)
    return Written(backup if before is not None else None, version)


def text_of(config_file: Path) -> str | None:
    """What stands in the file; None when there is none. Raises `InvalidInput` when it cannot be read."""
    return _read(config_file.resolve())


def mark_of(text: str | None) -> str:
    """Tells two texts of the file apart."""
    return "none" if text is None else sha256(text.encode()).hexdigest()[:32]


def undo_settings(config_file: Path, *, check: Callable[[Path], object], files: Files = DISK) -> list[str]:
    """Exchange the file with its backup, so that undoing twice changes nothing; returns the lines that differ.

    `check` judges the backup before anything is touched; what it raises is passed on. Cut off at any moment, both
    texts are there: the present one goes to `realm.yaml.undone` first. Raises `NotFound` when there is no backup.
    """
    file = config_file.resolve()
    backup = file.with_name(file.name + BACKUP_SUFFIX)
    with locked_directory(file.parent):
        before, after = _read(file) or "", _read(backup)
        if after is None:
            raise NotFound(f"There is no backup {backup}.", hint="It is made by the first `realm config set`.")
        check(backup)
        mode = _mode(file)
        keep_version(file, before, by="realm config undo", names=[], now=datetime.now(UTC), files=files)
        undone = file.with_name(file.name + UNDONE_SUFFIX)
        files.write_atomic(undone, before.encode(), durable=True, mode=mode)
        files.write_atomic(file, after.encode(), durable=True, mode=mode)
        files.replace(undone, backup)
        files.fsync_dir(file.parent)
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def with_settings(text: str, changes: Mapping[str, Any]) -> str:
    """The YAML `text` with each dotted name of `changes` set to its value, everything else as it was."""
    line_end = "\r\n" if "\r\n" in text else "\n"
    plain = text.replace("\r\n", "\n")
    for name, value in changes.items():
        plain = _with_setting(plain, name.split("."), list(value) if isinstance(value, tuple) else value)
    return plain.replace("\n", line_end)


def _without_setting(text: str, name: str, default: Any) -> str:
    """The text with the setting commented out, or, where it stands among others in one line, set to its default."""
    path = name.split(".")
    plain_default = list(default) if isinstance(default, tuple) else default
    wanted = _parsed(text)
    is_set, _ = _value_at(wanted, path)
    if not is_set:
        return text
    place = wanted
    for part in path[:-1]:
        place = place[part]
    del place[path[-1]]
    line_end = "\r\n" if "\r\n" in text else "\n"
    edited = commented_out(text.replace("\r\n", "\n"), name, _written(plain_default))
    if edited is not None and _filled(_parsed(edited)) == _filled(wanted):
        return edited.replace("\n", line_end)
    return with_settings(text, {name: plain_default})


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    """Without empty sections, which mean nothing."""
    return {name: value for name, value in values.items() if value not in (None, {})}


def _read(file: Path) -> str | None:
    try:
        # As bytes: reading as text would hide what ends its lines.
        return file.read_bytes().decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}.") from error


def _mode(file: Path) -> int | None:
    """Who may read the file: settings that were private stay so."""
    return stat.S_IMODE(file.stat().st_mode) if file.exists() else None


def _with_setting(text: str, path: list[str], value: Any) -> str:
    wanted = _parsed(text)
    if _value_at(wanted, path) == (True, value):
        return text
    place = wanted
    for part in path[:-1]:
        place[part] = place[part] if isinstance(place.get(part), dict) else {}
        place = place[part]
    place[path[-1]] = value
    edited = _edited(_with_line_for(text, path), path, value)
    if _parsed(edited) != wanted:
        raise InvalidInput(f"{'.'.join(path)} cannot be set in this file by program.", hint="Set it by hand.")
    return edited


def _edited(text: str, path: list[str], value: Any) -> str:
    # Loaded with the first change: who serves settings has mostly none to make.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    editor = YAML()
    editor.preserve_quotes = True
    editor.width = UNBROKEN
    indented = re.search(r"^( +)[^\s#-]", text, re.MULTILINE)
    editor.map_indent = len(indented[1]) if indented else 2
    try:
        document = editor.load(text)
    except (YAMLError, RecursionError) as error:  # a key that stands twice, of which PyYAML takes the last
        raise _not_yaml(error) from error
    place = document
    for part in path[:-1]:
        if place.get(part) is None:
            place[part] = {}
        place = place[part]
    place[path[-1]] = PLACEHOLDER
    stream = io.StringIO()
    editor.dump(document, stream)
    return stream.getvalue().replace(PLACEHOLDER, _written(value))


def _written(value: Any) -> str:
    """A value in one line, as PyYAML writes it, which reads it later: to it `yes` is no text and 1e-05 no number."""
    style = '"' if isinstance(value, str) and len(value.splitlines()) > 1 else None
    text = yaml.safe_dump([value], default_flow_style=True, default_style=style, allow_unicode=True, width=UNBROKEN)
    return text.strip()[1:-1]


def _with_line_for(text: str, path: list[str]) -> str:
    """The text with a line for this setting: its own, else the commented one, else a new one in its section."""
    if _value_at(_parsed(text), path)[0]:
        return text
    *sections, name = path
    lines = text.splitlines()
    first, last, indent = _section(lines, sections)
    if first is None:
        # The section is not there, or written in one line, which ruamel extends as it is.
        return text if sections and sections[0] in _parsed(text) else "\n".join([*lines, *_new_lines(path)]) + "\n"
    for number in range(first, last):
        if re.fullmatch(rf"{indent}#{re.escape(name)}:.*", lines[number]):
            lines[number] = f"{indent}{name}: null"
            break
    else:
        lines.insert(first if sections else last, f"{indent}{name}: null")
    return "\n".join(lines) + "\n"


def _section(lines: list[str], sections: list[str]) -> tuple[int | None, int, str]:
    """First line, line after the last one, and indentation of what stands below a section; None when it is missing."""
    first, last, indent = 0, len(lines), ""
    for name in sections:
        begins = (n for n in range(first, last) if re.fullmatch(rf"{indent}{re.escape(name)}:\s*(#.*)?", lines[n]))
        header = next(begins, None)
        if header is None:
            return None, last, indent
        first = header + 1
        outside = (n for n in range(first, last) if re.match(rf"{indent}[^\s#]", lines[n]))
        last = next(outside, last)
        inside = (re.match(r"(\s+)[^\s]", lines[n]) for n in range(first, last))
        indent = next((match[1] for match in inside if match), indent + "  ")
    return first, last, indent


def _new_lines(path: list[str]) -> list[str]:
    return [f"{'  ' * depth}{part}:" for depth, part in enumerate(path[:-1])] + [
        f"{'  ' * (len(path) - 1)}{path[-1]}: null"
    ]


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise _not_yaml(error) from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput(f"The settings must be keys and values, not {type(value).__name__}.")
    return value


def _not_yaml(error: Exception) -> InvalidInput:
    return InvalidInput(f"The settings are not valid YAML: {error}", hint="Correct the file, then try again.")


def _value_at(values: dict[str, Any], path: list[str]) -> tuple[bool, Any]:
    place: Any = values
    for part in path:
        if not isinstance(place, dict) or part not in place:
            return False, None
        place = place[part]
    return True, place
