"""The documents say what the code does: every verb, setting, route and path is named, every link leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from core.paths import CHECKOUT, LANES, RealmPaths
from core.settings_reading import setting_names
from realm import app

PAGES = [
    *sorted(CHECKOUT.glob("*.md")),
    CHECKOUT / "examples" / "README.md",
    *sorted((CHECKOUT / "docs").rglob("*.md")),
]
REFERENCE = CHECKOUT / "docs" / "reference"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
REALM_COMMAND = re.compile(r"(?:\brealm\.py|`realm) ((?:[a-z]+(?:-[a-z]+)* ?)+)")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def verbs(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every verb of the command line, such as `("quest", "add")`, and every noun."""
    for name, child in getattr(command, "commands", {}).items():
        yield (*path, name)
        yield from verbs(child, (*path, name))


VERBS = set(verbs(typer.main.get_command(app)))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference as the code makes it now."""
    folder = tmp_path_factory.mktemp("reference")
    ended = subprocess.run(
        [sys.executable, "-m", "docs.make_reference", str(folder)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.mark.parametrize("name", ["settings.md", "cli.md", "http.md", "metrics.md"])
def test_the_reference_is_what_the_code_makes(fresh: Path, name: str) -> None:
    """G20: documents and code drift apart; the script also fails for a route that is no declared endpoint."""
    message = "run: .venv/bin/python -m docs.make_reference"
    assert text_of(REFERENCE / name) == text_of(fresh / name), message


def test_every_verb_is_documented() -> None:
    page = text_of(REFERENCE / "cli.md")
    nouns = {path[:-1] for path in VERBS if len(path) > 1}
    assert not {
        path for path in VERBS - nouns if not re.search(rf"^## `realm {' '.join(path)}[ `]", page, re.MULTILINE)
    }


def test_every_setting_is_documented() -> None:
    page = text_of(REFERENCE / "settings.md")
    assert not [name for name in setting_names() if f"| `{name}` |" not in page]


def test_every_path_of_a_realm_is_documented() -> None:
    page = text_of(REFERENCE / "files.md")
    paths = RealmPaths(Path("/"))
    names = [name for name, value in vars(RealmPaths).items() if isinstance(value, property)]
    own = {str(getattr(paths, name).relative_to("/")) for name in names} | {f"queue/{lane}/" for lane in LANES}
    assert len(own) > 20
    assert not {path for path in own if f"`{path}" not in page and f"{path}/" not in page}


def test_whatever_can_be_held_up_has_a_row_under_troubleshooting() -> None:
    """What an event names, people look for by that name."""
    code = "".join(text_of(file) for file in (CHECKOUT / "arena").rglob("*.py"))
    kinds = {f"{kind}_blocked" for kind in re.findall(r'Blockade\(\w[\w.]*, "(\w+)"\)', code)}
    assert len(kinds) > 5
    page = text_of(CHECKOUT / "TROUBLESHOOTING.md")
    assert not [kind for kind in kinds if f"`{kind}`" not in page]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_links_lead_somewhere(page: Path) -> None:
    dead = [
        link
        for link in LINK.findall(text_of(page))
        if not link.startswith(("https://", "http://")) and not (page.parent / link.partition("#")[0]).exists()
    ]
    assert not dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_commands_that_a_page_shows_exist(page: Path) -> None:
    text = text_of(page)
    shown = {tuple(found.split()) for found in REALM_COMMAND.findall(text)}
    unknown = {words for words in shown if not any(words[:length] in VERBS for length in range(1, len(words) + 1))}
    targets = set(re.findall(r"^([a-z]+):", text_of(CHECKOUT / "Makefile"), re.MULTILINE))
    unknown |= {
        ("make", name) for name in re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE) if name not in targets
    }
    assert not unknown


def test_files_that_a_shown_command_copies_exist() -> None:
    copied = [
        line.split()[1]
        for page in PAGES
        for language, block in FENCED.findall(text_of(page))
        if language == "sh"
        for line in block.splitlines()
        if line.startswith("cp ")
    ]
    assert copied
    assert not [file for file in copied if not (CHECKOUT / file).is_file()]


def test_decisions_are_numbered_and_have_their_five_parts() -> None:
    decisions = sorted((CHECKOUT / "docs" / "adr").glob("*.md"))
    assert [file.name[:5] for file in decisions] == [f"{number:04}-" for number in range(1, len(decisions) + 1)]
    for file in decisions:
        text = text_of(file)
        assert text.startswith(f"# {file.name[:4]}: "), file.name
        assert re.search(r"^Date: \d{4}-\d{2}-\d{2}\nStatus: \w+", text, re.MULTILINE), file.name
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"], file.name
