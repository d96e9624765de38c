"""The files of the page, without a browser."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from arena.ravens.kinds import NEWS
from tavern.answers import Game
from tavern.pages import PAGE_PATHS, STATIC


def own_scripts() -> list[Path]:
    return [script for script in STATIC.rglob("*.js") if "vendor" not in script.relative_to(STATIC).parts]


VENDORED = sorted((STATIC / "vendor").iterdir())


def test_texts_lie_in_one_file() -> None:
    """Whatever people read comes from texts.js: the page has no words of its own but its title and noscript."""
    markup = (STATIC / "index.html").read_text(encoding="utf-8")
    bare = re.sub(r"<title>.*?</title>|<noscript>.*?</noscript>|<[^>]*>", "", markup, flags=re.DOTALL)
    assert bare.split() == []


def test_no_script_turns_text_into_markup() -> None:
    for script in own_scripts():
        code = script.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", code), (
            script
        )
        assert not re.search(r"https?://(?!www\.w3\.org/)", code), script


def test_all_templates_are_those_that_keep_nothing() -> None:
    """Those of the vendored module keep what they have drawn, and so a page that stays open grows without end."""
    takers = {script.name for script in own_scripts() if "vendor/preact" in script.read_text(encoding="utf-8")}
    assert takers == {"preact.js"}


def test_scripts_and_server_know_the_same_pages() -> None:
    """F22: a link to a page that only one of them knows is dead when it is loaded anew."""
    code = (STATIC / "pages.js").read_text(encoding="utf-8")
    single = re.findall(r'path: "([^"]+)"', code)
    further = [path for paths in re.findall(r"also: \[([^\]]*)\]", code) for path in re.findall(r'"([^"]+)"', paths)]
    assert sorted(re.sub(r":(\w+)", r"{\1}", path) for path in [*single, *further]) == sorted(PAGE_PATHS)
    assert all((STATIC / "pages" / name / "page.js").is_file() for name in re.findall(r'name: "([^"]+)"', code))


def test_the_page_tells_of_what_ravens_tell_of() -> None:
    """F17: what a phone is worth being told of is worth a message in the corner, and nothing else is."""
    code = (STATIC / "notices.js").read_text(encoding="utf-8")
    shown = dict(re.findall(r'^  (\w+): "(\w+)",$', code, re.MULTILINE))
    names = {"quest_complete": "quest", "level_up": "level", "trouble": "trouble"}
    told = {kind: names[name] for name, kinds in NEWS.items() for kind in kinds if not kind.endswith("_blocked")}
    assert shown == told
    assert 'if (kind.endsWith("_blocked")) return "trouble";' in code


def test_what_takes_hold_of_focus_keys_and_dialogs_does_so_with_the_drawing() -> None:
    """A `useEffect` runs up to a tenth of a second after its words are seen: an Escape in between closed nothing,
    and a file that was let go was opened by the browser in place of the page."""
    holds = (
        "showModal(",
        ".focus(",
        "scrollIntoView(",
        "document.addEventListener(",
        "addEventListener(kind",
        "useEffect(() => set",
    )
    looked_at, late = 0, []
    for script in STATIC.rglob("*.js"):
        if "vendor" in script.parts:
            continue
        for effect in re.findall(
            r"^  useEffect\((?:.*\]\);$|.*\n(?:    .*\n|\n)*)", script.read_text(encoding="utf-8"), re.MULTILINE
        ):
            looked_at += 1
            late += [(script.name, hold) for hold in holds if hold in f"useEffect({effect.partition('(')[2]}"]
    assert looked_at > 15
    assert late == []


def test_the_sample_is_a_snapshot_as_documented() -> None:
    Game.model_validate_json(Path(__file__).with_name("sample_snapshot.json").read_bytes(), strict=True)


@pytest.mark.parametrize("folder", VENDORED, ids=lambda folder: str(folder.name))
def test_vendored_files_are_what_their_note_says(folder: Path) -> None:
    """Nobody edits what others have written, and everybody can see where it came from and under which licence."""
    note = (folder / "VENDORED.md").read_text(encoding="utf-8")
    for word in ("| package |", "| version |", "| source |", "| licence |"):
        assert word in note
    told = {name: digest for digest, name in re.findall(r"^([0-9a-f]{64})  (.+)$", note, re.MULTILINE)}
    found = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.iterdir()
        if file.name != "VENDORED.md"
    }
    assert told == found
    assert any(name.startswith("LICENSE") for name in found)
