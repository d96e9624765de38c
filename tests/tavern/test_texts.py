"""The words of the page, without a browser."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from tavern.pages import STATIC
from tests.tavern.test_static import own_scripts

WORDS = [STATIC / "texts.js", *sorted((STATIC / "texts").iterdir())]


def words_told() -> set[str]:
    """The path of each word below `texts`, such as `vault.assets.title`."""
    found: set[str] = set()
    for file in WORDS:
        for root, body in re.findall(
            r"^export const (\w+) = \{\n(.*?)^\};", file.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        ):
            way = [root]
            for indent, key, value in re.findall(r"^( +)(\w+)(?::(.*)|,)$", body, re.MULTILINE):
                way = [*way[: len(indent) // 2], key]
                rest = re.sub(r'"[^"]*"|`[^`]*`', '""', value).strip()
                inner = re.findall(r"[{,] (\w+):", rest) if rest.startswith("{ ") else []
                if rest != "{":
                    found |= {".".join([*way, name]) for name in inner} or {".".join(way)}
    return {path.removeprefix("texts.") for path in found}


def words_used(code: str) -> Iterator[str]:
    """Every path that a script names; of `words[kind]` that of `words`, whose parts are all used."""
    # The `//` of an address and of `<//>` begins no comment.
    code = re.sub(r"(?<![:<])//.*|^import .*", "", code, flags=re.MULTILINE)
    paths = defaultdict(set, {"texts": {""}})
    before = 0
    while before != (before := len(paths)):
        renaming = rf"const (\w+|\{{[^}}=]*\}}) = ({'|'.join(paths)})((?:\.\w+)*);"
        for name, root, rest in re.findall(renaming, code):
            parts = re.findall(r"(\w+)(?:: (\w+))?", name) if name[0] == "{" else [("", name)]
            for part, own_name in parts:
                paths[own_name or part] |= {f"{path}{rest}.{part}".rstrip(".") for path in paths[root]}
    for root, rest in re.findall(rf"(?<![\w.])({'|'.join(paths)})\b((?:\??\.\w+)*)", re.sub(renaming, "", code)):
        yield from (f"{path}{rest}".replace("?", "").strip(".") for path in paths[root])


def test_every_word_is_used() -> None:
    """Words that no page shows were kept beside those that people read."""
    scripts = [script for script in own_scripts() if script not in WORDS]
    used = {path for script in scripts for path in words_used(script.read_text(encoding="utf-8"))}
    told = words_told()
    assert len(told) > 900
    assert {"vault.assets.title", "quests.history.outcomes.learned", "hero.plain.atk"} <= told
    above = {word: {word.rsplit(".", up)[0] for up in range(word.count(".") + 1)} for word in told}
    # `texts.foes.name(…).length` is a use of `name`.
    within = {path.rsplit(".", up)[0] for path in used for up in range(path.count(".") + 1) if path}
    assert sorted(word for word in told if not above[word] & used and word not in within) == []


def test_uses_are_found_through_names_of_their_own() -> None:
    code = """
      const words = texts.vault; // words.comment
      const { title, none: empty } = words.assets;
      html`<b>${title}${words.kinds[kind]}<//><i>${empty}${texts.away.silent}`;
    """
    assert set(words_used(code)) == {"vault.assets.title", "vault.assets.none", "vault.kinds", "away.silent"}
