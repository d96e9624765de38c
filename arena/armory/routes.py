"""The settings over HTTP: `/config` of port 8888 (spec 1.4). `configs/realm.yaml` is the one source of them (F12)."""

from __future__ import annotations

from typing import Annotated, Any

from aiohttp import web
from pydantic import ConfigDict, Field

from arena.armory.desk import ArmoryDesk
from arena.armory.drafts import SettingsRefused
from core.errors import Conflict, NotFound, Unavailable
from core.http.callers import told_caller
from core.http.endpoints import Endpoint
from core.http.inputs import FROM_NUMBER, FROM_TEXT, Inputs

TAG = "settings"
MOST = 200

Name = Annotated[str, Field(min_length=1, max_length=100)]
Mark = Annotated[
    str, Field(pattern=r"^(none|[0-9a-f]{32})$", description="`etag` of the settings that were looked at.")
]


class Edit(Inputs):
    """Settings that are to be others."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"changes": {"hyperparams.learning_rate": 0.001}}]})

    changes: Annotated[dict[Name, Any], Field(max_length=MOST)] = Field(
        default_factory=dict, description="New values by dotted names; of a secret, `{keep}` for each that stays."
    )
    reset: Annotated[list[Name], Field(max_length=MOST)] = Field(
        default_factory=list, description="Names that go back to their defaults."
    )


class SavedEdit(Edit):
    """Settings that are to be others, in the file that was looked at."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"etag": "none", "changes": {"hyperparams.learning_rate": 0.001}}]}
    )

    etag: Mark


class LookedAt(Inputs):
    """Which text of the file is meant."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"etag": "none"}]})

    etag: Mark


class OneVersion(Inputs):
    """A change of before."""

    number: Annotated[int, Field(ge=1, le=10**9), FROM_TEXT]


class Restore(Inputs):
    """Before which change to go back."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"etag": "none", "number": 1}]})

    etag: Mark
    number: Annotated[int, Field(ge=1, le=10**9), FROM_NUMBER]


def armory_routes(desk: ArmoryDesk) -> list[Endpoint]:
    """`/config*`."""

    async def check(body: Edit) -> dict[str, Any]:
        return await desk.check(body.changes, body.reset)

    async def estimate(body: Edit) -> dict[str, Any]:
        return await desk.estimate(body.changes, body.reset)

    async def save(request: web.Request, body: SavedEdit) -> dict[str, Any]:
        return await desk.save(body.etag, body.changes, body.reset, told_caller(request))

    async def past(path: OneVersion) -> dict[str, Any]:
        return await desk.past(path.number)

    async def restore(request: web.Request, body: Restore) -> dict[str, Any]:
        return await desk.restore(body.number, body.etag, told_caller(request))

    async def save_default(request: web.Request, body: LookedAt) -> dict[str, Any]:
        return await desk.save_default(body.etag, told_caller(request))

    async def restore_default(request: web.Request, body: LookedAt) -> dict[str, Any]:
        return await desk.restore_default(body.etag, told_caller(request))

    models = "arena.armory.answers"
    return [
        Endpoint("GET", "/config", desk.view,
                 "Every setting: value, default, limits, help, where it comes from, and when a change takes effect.",
                 tag=TAG, answer=f"{models}:Config", raises=[Unavailable]),
        Endpoint("POST", "/config", save,
                 "Write a change into the settings file; comments and order stay, the file before is kept.",
                 tag=TAG, answer=f"{models}:ConfigSaved", raises=[Conflict, SettingsRefused, Unavailable]),
        Endpoint("POST", "/config/check", check,
                 "What is wrong with a change, and what it would make of the file. Nothing is written.",
                 tag=TAG, answer=f"{models}:ConfigCheck", raises=[Unavailable]),
        Endpoint("POST", "/config/estimate", estimate,
                 "What a step of training takes in memory, as it is and with a change.",
                 tag=TAG, answer=f"{models}:ConfigEstimate", raises=[SettingsRefused, Unavailable]),
        Endpoint("GET", "/config/history", desk.history,
                 "The newest changes by program, which can be taken back.",
                 tag=TAG, answer=f"{models}:ConfigHistory", raises=[Unavailable]),
        Endpoint("GET", "/config/history/{number}", past,
                 "One of them, and what going back to before it would do.",
                 tag=TAG, answer=f"{models}:ConfigPast", raises=[NotFound, Unavailable]),
        Endpoint("POST", "/config/restore", restore,
                 "Put the file back as it was before a change.",
                 tag=TAG, answer=f"{models}:ConfigSaved", raises=[NotFound, Conflict, SettingsRefused, Unavailable]),
        Endpoint("GET", "/config/default", desk.default,
                 "The settings that were kept as the default, and what going back to them would do.",
                 tag=TAG, answer=f"{models}:ConfigDefault", raises=[NotFound, Unavailable]),
        Endpoint("POST", "/config/save-default", save_default,
                 "Keep the settings file as it is, as the default to go back to.",
                 tag=TAG, answer=f"{models}:ConfigKept", raises=[Conflict, SettingsRefused, Unavailable]),
        Endpoint("POST", "/config/restore-default", restore_default,
                 "Put the file back as it was kept.",
                 tag=TAG, answer=f"{models}:ConfigSaved", raises=[NotFound, Conflict, SettingsRefused, Unavailable]),
    ]  # fmt: skip
