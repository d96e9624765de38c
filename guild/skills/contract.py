"""Asks the API of a skill for samples (spec 1.17): whatever is no good sample is an error in words (failure C25)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from core.errors import InvalidInput, Unavailable, first_line
from core.http.tokens import bearer, client_token
from core.setting_types import is_loopback
from guild.skills.types import Batch, Sample, SkillConfig

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 30.0
MOST_BYTES = 256 << 20
"""Of one answer."""
WELL = ("ok", "healthy")
"""What `status` in `/health` may say."""
LISTS = ("samples", "puzzles", "problems")
"""Under which of these keys a batch may stand."""


class SkillClient:
    """The API that a skill's file names; raises `Unavailable` when it does not answer as one should.

    It is shown `token`. Without one it is shown that of this user (`core.http.tokens`), but only on this machine and
    where the host registry knows its address: files of skills are passed on, and the token opens the whole realm.
    `transport` replaces the network in tests.
    """

    def __init__(
        self,
        skill: SkillConfig,
        *,
        timeout: float = TIMEOUT_SECONDS,
        token: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.skill = skill
        self._timeout = timeout
        self._token = token
        self._transport = transport

    def health(self) -> bool:
        """True when the API says that it is well; false when it says otherwise or nothing."""
        try:
            return self._ask(self.skill.api.endpoints.health).get("status") in WELL
        except Unavailable:
            return False

    def info(self) -> dict[str, Any]:
        """What the API tells of itself."""
        return self._ask(self.skill.api.endpoints.info)

    def levels(self) -> list[dict[str, Any]]:
        """What the API tells of its levels."""
        levels = self._ask(self.skill.api.endpoints.levels).get("levels")
        if isinstance(levels, Mapping):
            levels = [{"level": level, **about} for level, about in levels.items() if isinstance(about, Mapping)]
        if not isinstance(levels, list):
            raise self._strange("it tells no levels")
        return levels

    def sample(self, level: int, count: int = 100, seed: int | None = None) -> Batch:
        """`count` samples of one level, or fewer where the API has no more; never none."""
        self.skill.check_wish(level, count)
        wish = {"level": level, "count": count} | ({} if seed is None else {"seed": seed})
        told = self._ask(self.skill.api.endpoints.generate, wish)
        # An API that takes no notice of the level once taught thirty levels in minutes (failure E1).
        if told.get("level", level) != level:
            raise self._strange(f"asked for level {level}, it gave level {told['level']!r}")
        items = next((told[key] for key in LISTS if isinstance(told.get(key), list)), None)
        if not items:
            raise self._strange(f"asked for {count} samples of level {level}, it gave none")
        samples = [self._sample(item, number) for number, item in enumerate(items[:count], start=1)]
        info = told.get("level_info")
        return Batch(self.skill.id, level, samples, dict(info) if isinstance(info, Mapping) else {"level": level})

    def _sample(self, item: Any, number: int) -> Sample:
        try:
            return sample_of(item)
        except ValueError as error:
            raise self._strange(f"sample {number} {error}") from error

    def _ask(self, route: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        import httpx

        method, _, path = route.partition(" ")
        url = f"{self.skill.api_url}{path}"
        headers = bearer(self._token or (client_token() if self._is_ours() else None))
        limits = httpx.Limits(max_keepalive_connections=0)
        # A proxy named in the environment is not the way to a host of the home network.
        client = httpx.Client(timeout=self._timeout, transport=self._transport, limits=limits, trust_env=False)
        try:
            with client, client.stream(method, url, headers=headers, json=body) as answer:
                return self._told(answer, self._read(answer))
        except httpx.InvalidURL as error:
            raise InvalidInput(f"{self.skill.api_url} is no address: {error}") from error
        except httpx.RequestError as error:
            raise Unavailable(
                f"The API of skill {self.skill.id} at {self.skill.api_url} does not answer: "
                f"{first_line(error) or type(error).__name__}.",
                hint=self._remedy(),
            ) from error

    def _is_ours(self) -> bool:
        """Whether the API is on this machine, or a service of a host of the registry."""
        from core.hosts import get_registry  # nobody who starts a realm waits for its models

        return is_here(self.skill.api_url) or get_registry().is_known_url(self.skill.api_url)

    def _read(self, answer: httpx.Response) -> bytes:
        body = bytearray()
        for part in answer.iter_bytes():
            body += part
            if len(body) > MOST_BYTES:
                raise self._strange(f"its answer has more than {MOST_BYTES >> 20} MiB")
        return bytes(body)

    def _told(self, answer: httpx.Response, body: bytes) -> dict[str, Any]:
        try:
            told = json.loads(body)
        except (ValueError, RecursionError):
            told = None
        if answer.is_success and isinstance(told, dict):
            return told
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            raise Unavailable(
                f"The API of skill {self.skill.id} at {self.skill.api_url} wants a token.",
                hint="Set REALM_TOKEN to it, or write it to ~/.config/realm/token; to another machine it goes only "
                "where configs/hosts.yaml names that service.",
            )
        why = told.get("message") if isinstance(told, dict) else None
        raise self._strange(f"HTTP {answer.status_code}" + (f", {why}" if why else ""))

    def _strange(self, what: str) -> Unavailable:
        return Unavailable(
            f"The API of skill {self.skill.id} at {self.skill.api_url} is of no use: {what.rstrip('.')}.",
            hint=self._remedy(),
        )

    def _remedy(self) -> str:
        if self.skill.api.start_command:
            return f"It is started by: {self.skill.api.start_command}"
        return f"Start it, or correct `api.url` in configs/skills/{self.skill.id}.yaml."


def is_here(url: str) -> bool:
    """Whether only this machine can be meant."""
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:  # the name of another one
        return False


def sample_of(item: Any) -> Sample:
    """One sample in any of the shapes that skill APIs give; raises `ValueError` that says what is missing.

    `messages`; `user_prompt` and `assistant_response`; `prompt` and `response` or `solution`. Every sample has its
    answer: an evaluation without one would mean nothing (failure C23).
    """
    if not isinstance(item, Mapping):
        raise ValueError("is no object")
    if "messages" in item:
        messages = _messages(item["messages"])
    elif "user_prompt" in item:
        messages = _turns(item, "user_prompt", "assistant_response")
    elif "prompt" in item:
        messages = _turns(item, "prompt", "response" if "response" in item else "solution")
    else:
        raise ValueError("has neither messages nor user_prompt nor prompt")
    golden = item.get("golden_answers")
    answers = golden if isinstance(golden, list) and golden else [messages[-1]["content"]]
    if not all(isinstance(answer, str) and answer.strip() for answer in answers):
        raise ValueError("has a golden answer that is no text")
    metadata = item.get("metadata")
    return Sample(messages, dict(metadata) if isinstance(metadata, Mapping) else {}, list(answers))


def _turns(item: Mapping[str, Any], asked: str, answered: str) -> list[dict[str, str]]:
    texts = {name: item.get(name) for name in (asked, answered)}
    for name, text in texts.items():
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"has no {name}")
    return [{"role": "user", "content": str(texts[asked])}, {"role": "assistant", "content": str(texts[answered])}]


def _messages(messages: Any) -> list[dict[str, str]]:
    if not isinstance(messages, list) or not messages:
        raise ValueError("has no messages")
    for message in messages:
        if not isinstance(message, Mapping) or not all(
            isinstance(message.get(key), str) for key in ("role", "content")
        ):
            raise ValueError("has a message without role and content")
    if messages[-1]["role"] != "assistant" or not messages[-1]["content"].strip():
        raise ValueError("does not end with an answer")
    return [{"role": message["role"], "content": message["content"]} for message in messages]
