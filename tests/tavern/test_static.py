"""The files of the page, without a browser."""

from __future__ import annotations

import re
from pathlib import Path

from core.files import read_json
from tavern.routes import STATIC


def test_texts_lie_in_one_file() -> None:
    """Whatever people read comes from texts.js: the page has no words of its own but its title and noscript."""
    markup = (STATIC / "index.html").read_text(encoding="utf-8")
    bare = re.sub(r"<title>.*?</title>|<noscript>.*?</noscript>|<[^>]*>", "", markup, flags=re.DOTALL)
    assert bare.split() == []


def test_no_script_turns_text_into_markup() -> None:
    for script in STATIC.glob("*.js"):
        code = script.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", code), (
            script
        )
        assert not re.search(r"https?://(?!www\.w3\.org/)", code), script


def test_the_sample_is_a_snapshot_as_documented() -> None:
    sample = read_json(Path(__file__).with_name("sample_snapshot.json"))
    documented = {"timestamp", "realm", "hero", "training", "quest", "queue", "loss", "validation", "checkpoint"}
    assert set(sample) == documented | {"events", "last_event_id"}
