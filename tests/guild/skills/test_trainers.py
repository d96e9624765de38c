"""Trainers: samples made in this process, and samples asked of an API over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from core.errors import InvalidInput, Unavailable
from core.paths import RealmPaths
from guild.dojo.held_out import is_held_out
from guild.dojo.problem import problem_key
from guild.skills import SkillClient, get_skill, get_trainer
from tests.guild.skills.files import write_skill

Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def client(paths: RealmPaths, monkeypatch: pytest.MonkeyPatch) -> Callable[[Handler], SkillClient]:
    """A client of a skill whose API answers as the handler does."""
    monkeypatch.setenv("REALM_TOKEN", "a-token-of-this-user")
    write_skill(paths, "chess", api={"url": "http://127.0.0.1:9", "start_command": "chessd --port 9"})
    skill = get_skill("chess", paths.base)
    return lambda handler: SkillClient(skill, transport=httpx.MockTransport(handler))


def giving(answer: Any, status: int = 200) -> Handler:
    return lambda request: httpx.Response(status, json=answer)


def test_a_built_in_skill_needs_no_server() -> None:
    batch = get_trainer("bin").sample(level=5, count=100, seed=7)
    assert (batch.skill_id, batch.level, len(batch.samples)) == ("bin", 5, 100)
    assert batch == get_trainer("bin").sample(5, 100, 7)
    for sample in batch.samples:
        user, assistant = sample.messages
        assert (user["role"], assistant["role"]) == ("user", "assistant")
        assert sample.golden_answers == [assistant["content"]]
        assert not is_held_out(problem_key("bin", user["content"]))
    again = get_trainer("bin").sample(5, 100)
    assert again == get_trainer("bin").sample(5, 100, again.level_info["seed"])


@pytest.mark.parametrize(("level", "count"), [(0, 1), (31, 1), (1, 0), (1, 100_001), (True, 1)])
def test_a_batch_that_cannot_be_is_refused(level: int, count: int) -> None:
    """E1, E12."""
    with pytest.raises(InvalidInput):
        get_trainer("bin").sample(level, count)


ITEMS: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "metadata": {"x": 1}},
    {"user_prompt": "q", "assistant_response": "a"},
    {"prompt": "q", "response": "a"},
    {"prompt": "q", "solution": "a"},
]


@pytest.mark.parametrize("key", ["samples", "puzzles"])
@pytest.mark.parametrize("item", ITEMS, ids=lambda item: " ".join(item))
def test_every_shape_of_sample_is_read(
    client: Callable[[Handler], SkillClient], key: str, item: dict[str, Any]
) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={key: [item, item], "level_info": {"level": 3}})

    batch = client(answer).sample(3, 2, seed=9)
    assert [sample.messages for sample in batch.samples] == [ITEMS[0]["messages"]] * 2
    assert [sample.golden_answers for sample in batch.samples] == [["a"], ["a"]]
    assert (asked[0].method, asked[0].url.path) == ("POST", "/generate")
    assert json.loads(asked[0].content) == {"level": 3, "count": 2, "seed": 9}
    assert asked[0].headers["Authorization"] == "Bearer a-token-of-this-user"


BAD: list[tuple[Any, str]] = [
    ({"samples": []}, "it gave none"),
    ({}, "it gave none"),
    ({"samples": [{"prompt": "q"}]}, "sample 1 has no solution"),
    ({"samples": [ITEMS[1], {"prompt": "q", "response": " "}]}, "sample 2 has no response"),
    ({"samples": [{"messages": [{"role": "user", "content": "q"}]}]}, "does not end with an answer"),
    ({"samples": [{"messages": [{"role": "user"}]}]}, "without role and content"),
    ({"samples": [{"messages": []}]}, "has no messages"),
    ({"samples": ["q"]}, "is no object"),
    ({"samples": [{"text": "q"}]}, "neither messages nor user_prompt nor prompt"),
    ({"samples": [{**ITEMS[2], "golden_answers": [5]}]}, "golden answer that is no text"),
    ({"samples": ITEMS, "level": 1}, "asked for level 3, it gave level 1"),
    (["samples"], "HTTP 200"),
]


@pytest.mark.parametrize(("answer", "told"), BAD, ids=[told for _, told in BAD])
def test_what_is_no_good_batch_is_an_error_in_words(
    client: Callable[[Handler], SkillClient], answer: Any, told: str
) -> None:
    """C25: an API that was down gave an empty batch. C23: samples without answers. E1: a level taken no notice of."""
    with pytest.raises(Unavailable, match=told) as caught:
        client(giving(answer)).sample(3, 4)
    assert "chessd --port 9" in str(caught.value)


def test_an_api_that_is_down_is_an_error_in_words(paths: RealmPaths) -> None:
    """C25, over a real socket: nothing listens there."""
    write_skill(paths, "chess", api={"url": "http://127.0.0.1:1"})
    trainer = get_trainer("chess", paths.base)
    assert not trainer.health()
    with pytest.raises(Unavailable, match=r"The API of skill chess at http://127.0.0.1:1 does not answer: .*api.url"):
        trainer.sample(1)


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [(401, {}, "wants a token"), (503, {"message": "Down for repair."}, "HTTP 503, Down for repair"), (500, 1, "500")],
)
def test_an_error_of_the_api_is_passed_on(
    client: Callable[[Handler], SkillClient], status: int, body: Any, told: str
) -> None:
    with pytest.raises(Unavailable, match=told):
        client(giving(body, status)).sample(1)


def test_an_answer_without_end_is_cut_off(
    client: Callable[[Handler], SkillClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guild.skills.contract.MOST_BYTES", 1 << 20)
    with pytest.raises(Unavailable, match="more than 1 MiB"):
        client(giving({"samples": ["x" * (2 << 20)]})).sample(1)


@pytest.mark.parametrize(("status", "well"), [("ok", True), ("healthy", True), ("loading", False)])
def test_an_api_says_whether_it_is_well(client: Callable[[Handler], SkillClient], status: str, well: bool) -> None:
    assert client(giving({"status": status})).health() is well


def test_levels_are_read_as_a_list_or_by_number(client: Callable[[Handler], SkillClient]) -> None:
    assert client(giving({"levels": [{"level": 1}]})).levels() == [{"level": 1}]
    assert client(giving({"levels": {"1": {"bits": 2}}})).levels() == [{"level": "1", "bits": 2}]
    with pytest.raises(Unavailable, match="no levels"):
        client(giving({})).levels()


def test_a_file_from_elsewhere_does_not_get_the_token_that_opens_the_realm(
    paths: RealmPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Skill files are passed on, and one of them may name any address."""
    monkeypatch.setenv("REALM_TOKEN", "a-token-of-this-user")
    write_skill(paths, "evil", api={"url": "http://evil.example:9"})
    asked: list[httpx.Request] = []

    def note(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"status": "ok"})

    skill = get_skill("evil", paths.base)
    assert SkillClient(skill, transport=httpx.MockTransport(note)).health()
    assert SkillClient(skill, token="its-own", transport=httpx.MockTransport(note)).health()
    assert [request.headers.get("Authorization") for request in asked] == [None, "Bearer its-own"]
