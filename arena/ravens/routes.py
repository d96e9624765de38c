"""Notifications over HTTP: who is told of what, and a message to try it."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from arena.ravens.kinds import NEWS
from arena.ravens.raven_post import RavenPost
from core.errors import NotFound
from core.http.endpoints import Endpoint
from core.http.inputs import Inputs

TAG = "notifications"


class TrialWish(Inputs):
    """Whom to send a test message."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    target: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{16}$", description="Id of one target; left out, all are sent one."
    )
    address: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z][A-Za-z0-9+.-]{0,31}://[!-~]{0,2000}$",
        description="An address to try before it is saved; goes before `target`.",
    )


def raven_routes(post: RavenPost) -> list[Endpoint]:
    """`/api/notifications` of port 8888."""

    async def show() -> dict[str, Any]:
        return {**await post.view(), "kinds": {name: sorted(kinds) for name, kinds in NEWS.items()}}

    async def test(body: TrialWish) -> dict[str, Any]:
        return {"results": await post.test(body.target, body.address)}

    return [
        Endpoint("GET", "/api/notifications", show,
                 "Who is told of what happens, and how that went. Addresses are masked.",
                 tag=TAG, answer="arena.ravens.answers:Notifications"),
        Endpoint("POST", "/api/notifications/test", test,
                 "Send a test message and wait for what the service says, 20 s at most for each.",
                 tag=TAG, answer="arena.ravens.answers:Trials", raises=[NotFound]),
    ]  # fmt: skip
