"""The OpenAPI documents are valid and true: schemathesis asks every site, an officer and a skill whatever they allow.

The sites are composed as `realm up` does it and served on real ports; requests are made up from the documents, good
ones and broken ones, with a fixed seed.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families
from schemathesis.engine import events, from_schema

from core.http.endpoints import Endpoint
from core.http.site import DOCUMENT, ENDPOINTS, Site
from core.paths import CHECKOUT
from docs.make_reference import idle_officer, idle_skill
from tests.idle_realm import served_realm
from tests.serving import serving
from tests.vault.making import publish
from tests.vault.transfer.loops import running
from vault.checkpoints import CheckpointStore

SITES = ("tavern", "vault", "watchtower")
BRANCH = "branch officer"
SKILL = "skill bin"
EXAMPLES = 6
"""Made up for each operation, beside the borders of all its values (schemathesis' phase `coverage`)."""

ENDLESS = "/api/events/stream"
"""An answer that never ends cannot be held to a schema; `tests/core/web/test_events.py` is about the stream."""

CHECKS = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
    "unsupported_method",
}


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Site]]:
    zone = tmp_path_factory.mktemp("zone")
    publish(CheckpointStore(zone), "checkpoint-1000-20261121-0900", train_loss=0.5)
    (zone / "train_bin.jsonl").write_text("{}\n")
    with served_realm(tmp_path_factory.mktemp("realm")) as served, idle_officer(zone) as officer:
        skill = idle_skill(zone)
        officer.port = skill.port = 0
        with running(officer.start, officer.stop), running(skill.start, skill.stop):
            httpx.post(f"{officer.url}/scan", json={}).raise_for_status()
            yield {site.name: site for site in (*served, officer, skill)}


def examined(document_url: str) -> tuple[Counter[str], list[str]]:
    """How often each check was made of the site, and what was found wrong."""
    options: dict[str, Any] = {
        "seed": 1,
        "cache": {"enabled": False},
        "generation": {"max-examples": EXAMPLES, "database": "none"},
        # Sequences are of no use here: answers hold no links to other operations.
        "phases": {"stateful": {"enabled": False}},
    }
    schema = schemathesis.openapi.from_url(document_url, config=schemathesis.Config.from_dict(options))
    made: Counter[str] = Counter()
    wrong: list[str] = []
    for event in from_schema(schema.exclude(path=ENDLESS)).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            wrong.append(repr(getattr(event, "value", event)))
        if isinstance(event, events.ScenarioFinished):
            for case_id, checks in event.recorder.checks.items():
                made.update(check.name for check in checks)
                case = event.recorder.cases[case_id].value
                wrong += [
                    f"{event.label} {check.name}: {check.failure_info.failure}\n{case.as_curl_command()}"
                    for check in checks
                    if check.failure_info is not None
                ]
    return made, wrong


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [*SITES, BRANCH, SKILL])
def test_a_site_answers_as_its_document_says_whatever_it_is_asked(sites: dict[str, Site], name: str) -> None:
    """G20, F11, F16: no answer has another shape than the one that is told, errors included; no input breaks a site."""
    made, wrong = examined(f"{sites[name].url}/openapi.json")
    assert not wrong, "\n\n".join(wrong[:5])
    assert made.keys() >= CHECKS
    assert made["response_schema_conformance"] >= len(sites[name].app[ENDPOINTS])


async def test_schemathesis_finds_a_site_that_lies() -> None:
    """G20: the test above can fail."""

    async def lie() -> dict[str, Any]:
        return {"status": 5}

    endpoint = Endpoint("GET", "/lie", lie, "A lie.", tag="x", answer="core.http.answer_models:Alive")
    async with serving([endpoint], held_to_models=False) as visitor:
        _, wrong = await asyncio.to_thread(examined, f"{visitor.site.url}/openapi.json")
    assert any("GET /lie response_schema_conformance" in found for found in wrong)


@pytest.mark.parametrize("name", [*SITES, BRANCH, SKILL])
def test_every_document_is_valid_openapi_3_1(sites: dict[str, Site], name: str) -> None:
    schema = schemathesis.openapi.from_url(f"{sites[name].url}/openapi.json")
    schema.validate()
    assert schema.raw_schema["openapi"] == "3.1.0"
    assert schema.raw_schema["servers"] == [{"url": "/"}]
    operations = [entry for path in schema.raw_schema["paths"].values() for entry in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"] and operation["tags"] for operation in operations)


@pytest.mark.parametrize("name", [*SITES, BRANCH, SKILL])
def test_what_is_routed_is_documented_and_what_is_documented_is_routed(sites: dict[str, Site], name: str) -> None:
    """G20: documents and code once drifted apart again and again."""
    app = sites[name].app
    routed = {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD" and not isinstance(route.resource, web.StaticResource)
    }
    told = {(method, path) for path, operations in app[DOCUMENT]()["paths"].items() for method in operations}
    assert routed == told


@pytest.mark.parametrize("name", [*SITES, BRANCH, SKILL])
@pytest.mark.parametrize("path", ["/health", "/healthz", "/readyz", "/metrics", "/openapi.json"])
def test_every_site_answers_what_every_site_has_to(sites: dict[str, Site], name: str, path: str) -> None:
    """DESIGN section 8."""
    assert httpx.get(sites[name].url + path).status_code == 200


def test_metrics_are_named_as_prometheus_wants_it_and_documented(sites: dict[str, Site]) -> None:
    """G20; and no label tells a quest's id or a file's name, which would make a series of each."""
    reference = (CHECKOUT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    text = httpx.get(f"{sites['vault'].url}/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    ours = {name: family for name, family in families.items() if name.startswith("realm_")}
    assert len(ours) > 20
    assert {name.split("_")[0] for name in families} <= {"realm", "process"}
    for name, family in ours.items():
        written = f"{name}_total" if family.type == "counter" else name
        assert f"| `{written}` |" in reference
        assert re.fullmatch(r"realm_[a-z_]+", name)
        assert ("bytes" in name) <= name.endswith("_bytes")
        values = {value for sample in family.samples for value in sample.labels.values()}
        assert not [value for value in values if re.search(r"\.jsonl|q_[0-9]{8}", value)], name
    assert families["realm_training_step"].samples[0].value == 2002
    assert {sample.labels["lane"]: sample.value for sample in families["realm_quests"].samples}["high"] == 1


def test_the_tavern_shows_the_documents_of_all_sites(sites: dict[str, Site]) -> None:
    """F15: the browser talks to 8888 only."""
    tavern = sites["tavern"].url
    names = httpx.get(f"{tavern}/docs/sites").json()["sites"]
    assert names == list(SITES)
    for name in names:
        document = httpx.get(f"{tavern}/docs/{name}.json").json()
        own = httpx.get(f"{sites[name].url}/openapi.json").json()
        assert document == {**own, "servers": [{"url": sites[name].url}]}
    missing = httpx.get(f"{tavern}/docs/oracle.json")
    assert (missing.status_code, missing.json()["error"]) == (404, "not_found")
