"""The renderer of a yardstick, in the scribe: loaded once, and again when a file behind it has changed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from blake3 import blake3

from arena.gatekeepers.measures.yardstick import OF_SEEDLING, Stamp, stamp_of_files, tokenizer_files
from arena.language.byte_tokenizer import NAMED_SPECIALS, byte_tokenizer
from arena.language.chat_templates import compile_template
from arena.rendering import Renderer
from guild.profiles import CHATML_TEMPLATE, get_profile


@dataclass(frozen=True)
class LoadedRenderer:
    renderer: Renderer
    fingerprint: str
    """BLAKE3 over tokenizer and template, or profile, hex: which rendering a verdict speaks of."""


def load_renderer(tokenizer: str, profile: str) -> LoadedRenderer:
    """The renderer for a tokenizer (`Yardstick.tokenizer`) and a profile; raises `InvalidInput` as `Renderer.load`.

    The seedling's is made from the same parts as its model directory, which only the trainer can write.
    """
    return _load(tokenizer, profile, stamp_of_files(tokenizer_files(tokenizer)))


# Two: a tokenizer of 150 k entries takes 98 MB, and quests rarely mix more profiles than that.
@lru_cache(maxsize=2)
def _load(tokenizer: str, profile: str, stamp: Stamp) -> LoadedRenderer:
    chosen = get_profile(profile)
    hasher = blake3((chosen.name if chosen.rewrite else chosen.chat_template or "").encode())
    if tokenizer == OF_SEEDLING:
        bytes_as_tokens = byte_tokenizer()
        hasher.update(bytes_as_tokens.to_str().encode())
        source = chosen.template_over(CHATML_TEMPLATE) or CHATML_TEMPLATE
        renderer = Renderer(
            bytes_as_tokens, compile_template(source), dict(NAMED_SPECIALS), chosen, starts_with_bos=False,
            template_source=source,
        )  # fmt: skip
    else:
        for name, _, _ in stamp:
            hasher.update(Path(name).read_bytes())
        renderer = Renderer.load(Path(tokenizer), chosen)
    return LoadedRenderer(renderer, hasher.hexdigest())
