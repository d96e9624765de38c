"""`/api/witness`, of vaults and branch officers: whether a whole copy of something lies on this host and stays."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field

from core.http.endpoints import Endpoint
from core.http.inputs import Inputs
from vault.witness import Witness


class WitnessAsked(Inputs):
    """What somebody wants to delete, and relies on others to have."""

    name: str = Field(min_length=1, max_length=255, description="Of its directory, or its id.")
    checksum: str = Field(min_length=1, max_length=64, description="The digest of its manifest.")
    within_days: float = Field(default=1.0, gt=0, le=36_500, description="One that was read longer ago is read again.")


def witness_routes(witness: Witness) -> list[Endpoint]:
    """The endpoint of one base directory; reading runs in a thread."""

    async def testify(body: WitnessAsked) -> dict[str, Any]:
        within = timedelta(days=body.within_days)
        return await asyncio.to_thread(witness.testify, body.name, body.checksum, within, datetime.now(UTC))

    return [
        Endpoint("POST", "/api/witness", testify, "Whether a whole copy of an asset lies on a disk of this host, and "
                 "nobody here is about to delete it. All of it is read for that, unless it was a short time ago.",
                 tag="witness", answer="vault.answers:Testimony"),
    ]  # fmt: skip
