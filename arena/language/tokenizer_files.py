"""Reading what a Hugging Face directory says about its tokenizer, with `tokenizers` only, as transformers reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from core.errors import InvalidInput
from core.files import read_json

_NAMED_SPECIALS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def read_tokenizer_config(model_dir: Path) -> dict[str, Any]:
    """`tokenizer_config.json`, `{}` when there is none; raises `InvalidInput` when it is broken."""
    config = _read_object(model_dir / "tokenizer_config.json")
    if "added_tokens_decoder" not in config:
        # Older directories name their special tokens in a file of its own, which then wins (as in transformers).
        config = {**config, **_read_object(model_dir / "special_tokens_map.json")}
    return config


def special_tokens(config: dict[str, Any]) -> dict[str, str]:
    """`{"eos_token": "<|im_end|>", …}` of those that are set; in the file a token is a string or an object."""
    values = {name: config.get(name) for name in _NAMED_SPECIALS}
    return {name: value["content"] if isinstance(value, dict) else value for name, value in values.items() if value}


def load_tokenizer(model_dir: Path, config: dict[str, Any]) -> Tokenizer:
    """`tokenizer.json` with the tokens that only `config` names, neither cutting nor padding."""
    file = model_dir / "tokenizer.json"
    try:
        tokenizer: Tokenizer = Tokenizer.from_file(str(file))
        tokenizer.add_tokens([token for token in _listed(config) if tokenizer.token_to_id(token.content) is None])
    except Exception as error:  # tokenizers raises bare Exception for whatever is wrong with the file
        raise InvalidInput(
            f"{file} cannot be read as a tokenizer: {error}",
            hint="The directory must hold a model in Hugging Face format with a fast tokenizer.",
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = bool(config.get("split_special_tokens", False))
    return tokenizer


def native_template(model_dir: Path, config: dict[str, Any]) -> str | None:
    """The chat template that the model brings along, or None."""
    file = model_dir / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    template = config.get("chat_template")
    if isinstance(template, list):
        named = {entry["name"]: entry["template"] for entry in template}
        template = named.get("default")
    return template if isinstance(template, str) else None


def adds_bos(tokenizer: Tokenizer, config: dict[str, Any]) -> bool:
    """Whether this tokenizer puts its BOS before a plain text. Asked before the post-processor is taken off."""
    bos = special_tokens(config).get("bos_token")
    if bos is None:
        return False
    return bool(config.get("add_bos_token", tokenizer.encode("").ids[:1] == [tokenizer.token_to_id(bos)]))


def _listed(config: dict[str, Any]) -> list[AddedToken]:
    """Added tokens in the order in which transformers appends those that `tokenizer.json` lacks."""
    decoder = config.get("added_tokens_decoder") or {}
    listed = [AddedToken(**decoder[key]) for key in sorted(decoder, key=int)]
    extra = config.get("extra_special_tokens") or config.get("additional_special_tokens") or []
    names = [*special_tokens(config).values(), *(token for token in extra if isinstance(token, str))]
    return listed + [AddedToken(name, special=True) for name in names]


def _read_object(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    value = read_json(file)
    if not isinstance(value, dict):
        raise InvalidInput(f"{file} is not a JSON object.", hint="Copy the model directory again.")
    return value
