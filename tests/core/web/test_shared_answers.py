"""Two hundred pages that ask at once are one piece of work, and none is told of a state from before its question."""

from __future__ import annotations

import asyncio
import json

from core.errors import Unavailable
from core.http.shared_answers import SharedAnswer, SharedAnswers


class Kitchen:
    """Counts what it makes; each takes until it is let go."""

    def __init__(self) -> None:
        self.made = 0
        self.open = asyncio.Event()
        self.broken = False

    async def make(self) -> dict[str, float]:
        self.made += 1
        number = self.made
        await self.open.wait()
        if self.broken:
            raise Unavailable("The cook is away.")
        return {"number": number, "odd": float("nan")}


async def number_of(answer: SharedAnswer) -> int:
    response = await answer.get()
    assert response.content_type == "application/json"
    assert isinstance(response.body, bytes)
    body = json.loads(response.body)
    assert body["odd"] is None, "F23"
    return int(body["number"])


async def test_all_who_ask_during_a_build_share_the_next() -> None:
    kitchen = Kitchen()
    answer = SharedAnswer(kitchen.make)
    first = asyncio.create_task(number_of(answer))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert kitchen.made == 1
    others = [asyncio.create_task(number_of(answer)) for _ in range(200)]
    await asyncio.sleep(0)
    assert kitchen.made == 1
    others[7].cancel()
    kitchen.open.set()
    assert await first == 1
    found = await asyncio.gather(*others, return_exceptions=True)
    assert {each for each in found if not isinstance(each, BaseException)} == {2}
    assert isinstance(found[7], asyncio.CancelledError)
    assert await number_of(answer) == 3, "a later question is a new one"


async def test_each_question_has_its_own_answer_and_leaves_nothing_behind() -> None:
    kitchen = Kitchen()
    kitchen.open.set()
    answers = SharedAnswers()
    found = await asyncio.gather(*(answers.get(number % 3, kitchen.make) for number in range(30)))
    assert kitchen.made <= 6
    assert len({response.body for response in found}) == kitchen.made
    await asyncio.sleep(0)
    await answers.get(0, kitchen.make)
    assert answers._answers == {}


async def test_a_failure_is_everybodys_and_does_not_stay() -> None:
    kitchen = Kitchen()
    kitchen.broken = True
    kitchen.open.set()
    answer = SharedAnswer(kitchen.make)
    found = await asyncio.gather(*(answer.get() for _ in range(3)), return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in found)
    kitchen.broken = False
    assert await number_of(answer) > 1
