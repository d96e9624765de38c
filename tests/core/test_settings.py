"""Settings: file, environment and command line merged once; every mistake told at once, with what was meant."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy
import pytest
from pydantic import BaseModel, ValidationError

from core.errors import InvalidInput
from core.setting_docs import describe
from core.settings import Settings
from core.settings_reading import environment_variable, load_settings, read_yaml, setting_names


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "realm.yaml"


def test_without_a_file_the_defaults_hold(config: Path) -> None:
    settings = load_settings(config, {})
    assert settings == Settings()
    assert (settings.hero, settings.save_steps, settings.services.tavern) == ("seedling", 10_000, 8888)


def test_environment_beats_file_and_command_line_beats_both(config: Path) -> None:
    config.write_text("hyperparams:\n  learning_rate: 1e-3\n  epochs: 2\nsave_steps: 5\n")
    env = {"REALM_HYPERPARAMS__LEARNING_RATE": "2e-3", "REALM_SAVE_STEPS": "6", "HOME": "/root"}
    settings = load_settings(config, env, {"save_steps": 7, "services": {"ports": "auto"}})
    assert settings.hyperparams.learning_rate == 2e-3
    assert settings.hyperparams.epochs == 2
    assert settings.save_steps == 7
    assert settings.services.ports == "auto"


def test_all_errors_come_in_one_message(config: Path) -> None:
    config.write_text("hyperparams:\n  epochs: 0\n  batch_sizes: 8\nsave_budget: 3\ntrainer:\n  device: tpu\n")
    with pytest.raises(InvalidInput) as caught:
        load_settings(config, {})
    message = caught.value.message
    for part in (str(config), "hyperparams.epochs", "batch_sizes", "save_budget", "trainer.device", "'tpu'"):
        assert part in message
    assert len(caught.value.details["errors"]) == 4


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("hyperparams:\n  lerning_rate: 1e-3\n", "hyperparams.learning_rate"),
        ("learning_rate: 1e-3\n", "hyperparams.learning_rate"),
        ("epochs: 2\n", "hyperparams.epochs"),
        ("seed: 2\n", "trainer.seed"),
        ("hyperparam:\n  epochs: 2\n", "hyperparams"),
        ("save_step: 2\n", "save_steps"),
    ],
)
def test_an_unknown_key_is_an_error_that_says_what_was_meant(config: Path, written: str, meant: str) -> None:
    config.write_text(written)
    with pytest.raises(InvalidInput, match=rf"there is no such setting\. Did you mean {meant}\?"):
        load_settings(config, {})


def test_a_key_that_is_like_nothing_is_an_error_without_a_guess(config: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_settings(config, {"REALM_XYZZY": "1"})
    assert "xyzzy: there is no such setting." in caught.value.message
    assert "Did you mean" not in caught.value.message


def test_each_error_is_told_of_the_place_that_it_comes_from(config: Path) -> None:
    """A wrong variable was blamed on the file."""
    config.write_text("eval_steps: 0\nservices: {vault: 9000}\n")
    env = {"REALM_SAVE_STEPS": "x", "REALM_FOO__BAR": "1", "REALM_SERVICES__TAVERN": "9000"}
    with pytest.raises(InvalidInput) as caught:
        load_settings(config, env, {"eval_rows": 0})
    for place, key in {
        "REALM_SERVICES__TAVERN": "services: tavern, vault",
        "REALM_SAVE_STEPS": "save_steps: ",
        "REALM_FOO__BAR": "foo: there is no such setting",
        "The new value": "eval_rows: ",
        str(config): "eval_steps: ",
    }.items():
        assert f"{place}:\n  {key}" in caught.value.message


@pytest.mark.parametrize(
    "name", ["REALM_BASE_DIR", "REALM_TOKEN", "REALM_CRASH_AT", "REALM_CRASH_LIST", "REALM_TRAINER_SOCKET"]
)
def test_variables_that_are_not_settings_are_left_alone(config: Path, name: str) -> None:
    assert load_settings(config, {name: "anything"}) == Settings()


@pytest.mark.parametrize("prompt", ["Answer: yes or no", "[INST] {x}", "123", "no", '"quoted"', "ends with #"])
def test_text_from_the_environment_stays_the_text_it_is(config: Path, prompt: str) -> None:
    settings = load_settings(config, {"REALM_PROFILE__SYSTEM_PROMPT": prompt})
    assert settings.profile.system_prompt == prompt


@pytest.mark.parametrize("text", ["", "null", "~"])
def test_an_empty_variable_takes_the_value_away(config: Path, text: str) -> None:
    config.write_text("trainer:\n  threads: 4\n")
    assert load_settings(config, {"REALM_TRAINER__THREADS": text}).trainer.threads is None


def test_a_variable_with_a_wrong_value_is_told_in_words(config: Path) -> None:
    with pytest.raises(InvalidInput, match=r"services\.tavern.*'high'"):
        load_settings(config, {"REALM_SERVICES__TAVERN": "high"})


@pytest.mark.parametrize("order", [1, -1])
def test_a_section_given_as_a_value_too_is_refused(config: Path, order: int) -> None:
    env = [("REALM_INBOX", "5"), ("REALM_INBOX__SCAN_SECONDS", "2")][::order]
    with pytest.raises(InvalidInput, match="REALM_INBOX"):
        load_settings(config, dict(env))


@pytest.mark.parametrize(
    "written",
    [
        "a: [unclosed",
        "save_steps: 1\nsave_steps: 2\n",
        "? [a, b]\n: 1\n",
        "? {a: b}\n: 1\n",
        "!!python/object/apply:os.system ['true']",
        "- a list",
        "just text",
    ],
)
def test_a_file_that_is_not_a_mapping_of_settings_is_refused_with_its_name(config: Path, written: str) -> None:
    config.write_text(written)
    with pytest.raises(InvalidInput, match=r"realm\.yaml"):
        load_settings(config, {})


def test_a_key_written_twice_is_told_with_its_line(config: Path) -> None:
    config.write_text("hero: a\ninbox:\n  scan_seconds: 1\n  scan_seconds: 2\n")
    with pytest.raises(InvalidInput, match=r"'scan_seconds' stands twice[\s\S]*line 4"):
        read_yaml(config)


def test_a_file_that_cannot_be_read_is_told_in_words(config: Path) -> None:
    config.mkdir()
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_settings(config, {})


def test_binary_rubbish_is_told_in_words(config: Path) -> None:
    config.write_bytes(b"\xff\xfe\x80\x00rubbish")
    with pytest.raises(InvalidInput, match="not valid YAML"):
        load_settings(config, {})


def test_an_empty_file_and_a_section_with_every_line_commented_out_are_fine(config: Path) -> None:
    config.write_text("")
    assert load_settings(config, {}) == Settings()
    config.write_text("inbox:\n#  scan_seconds: 3\nhyperparams:\n")
    assert load_settings(config, {}) == Settings()


@pytest.mark.parametrize("value", [".inf", ".nan", "-.inf"])
def test_infinity_and_nan_are_no_settings(config: Path, value: str) -> None:
    """F23: settings go into JSON, which holds neither."""
    config.write_text(f"hyperparams:\n  max_grad_norm: {value}\n")
    with pytest.raises(InvalidInput, match="max_grad_norm"):
        load_settings(config, {})


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("192.168.1.10", False),
        ("::", False),
    ],
)
def test_an_address_says_whether_it_is_beyond_loopback(config: Path, host: str, is_local: bool) -> None:
    """Law 8: loopback by default; what is beyond it wants a token."""
    assert Settings().services.is_local
    assert load_settings(config, {"REALM_SERVICES__HOST": host}).services.is_local is is_local


@pytest.mark.parametrize("host", ["myhost", "192.168.1", "http://127.0.0.1", "127.0.0.1:80", ""])
def test_a_site_listens_on_an_address_not_on_a_name(config: Path, host: str) -> None:
    with pytest.raises(InvalidInput, match=r"services\.host"):
        load_settings(config, {"REALM_SERVICES__HOST": host})


def test_allowed_hosts_are_bare_names_from_the_file_or_the_environment(config: Path) -> None:
    config.write_text("services:\n  allowed_hosts: [Realm.LAN, 192.168.1.9, 'fe80:0::1']\n")
    assert load_settings(config, {}).services.allowed_hosts == ("realm.lan", "192.168.1.9", "fe80::1")
    env = {"REALM_SERVICES__ALLOWED_HOSTS": "box, realm.lan"}
    assert load_settings(config, env).services.allowed_hosts == ("box", "realm.lan")
    for bad in ("realm.lan:8888", "http://realm.lan", "*", "a b"):
        with pytest.raises(InvalidInput, match="without http:// and port"):
            load_settings(config, {"REALM_SERVICES__ALLOWED_HOSTS": bad})


def test_settings_cannot_be_changed_after_they_were_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().save_steps = 3  # type: ignore[misc]


def test_every_setting_has_a_name_and_a_description() -> None:
    """The reference is made from the attribute docstrings: none may be missing."""
    describe(Settings)
    all_names = list(setting_names())
    assert len(all_names) == len(set(all_names)) > 25
    for name in all_names:
        model: type[BaseModel] = Settings
        *sections, last = name.split(".")
        for section in sections:
            model = model.model_fields[section].annotation  # type: ignore[assignment]
        assert model.model_fields[last].description, name


def limit_of(name: str) -> Any:
    """The largest value that a setting may have by its schema; None when it has no numbers or no limit."""
    *sections, last = name.split(".")
    model: type[BaseModel] = Settings
    for section in sections:
        model = type(getattr(model(), section))
    schema = model.model_json_schema()["properties"][last]
    part = next((each for each in schema.get("anyOf", [schema]) if each["type"] in ("integer", "number")), {})
    return part.get("maximum", part.get("exclusiveMaximum", 0) - 1 if "exclusiveMaximum" in part else None)


def in_sqlite(value: object) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("SELECT ?", (value,))


def before_now(days: float) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) - timedelta(days=days)


async def asleep(seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.sleep(seconds)


USERS: dict[str, Callable[[Any], object]] = {
    "trainer.seed": numpy.random.RandomState,
    "budgets.completed_days": before_now,
    "budgets.failed_days": before_now,
    "retention.branch_days": before_now,
    "retention.archive_days": before_now,
    "retention.min_age_hours": lambda value: before_now(value / 24),
    "budgets.events": in_sqlite,
    "budgets.log_megabytes": lambda value: in_sqlite(value << 20),
    "inbox.scan_seconds": lambda value: asyncio.run(asleep(value)),
}
"""What becomes of a setting; any other whole number goes to the trainer, whose protocol holds 64 bits."""


@pytest.mark.parametrize("name", [name for name in setting_names() if limit_of(name) is not None])
def test_the_largest_number_allowed_can_be_used_and_a_larger_one_is_refused(config: Path, name: str) -> None:
    """A million days, for `keep for ever`, passed the check, and from then on housekeeping failed each minute."""
    limit = limit_of(name)
    (USERS.get(name) or in_sqlite)(limit)
    variable = environment_variable(name)
    load_settings(config, {variable: str(limit), "REALM_SERVICES__PORTS": "auto"})
    with pytest.raises(InvalidInput, match=name):
        load_settings(config, {variable: str(limit + 1)})


def test_every_number_has_a_limit() -> None:
    unlimited = {"hyperparams.max_grad_norm"}  # the larger, the less is scaled down
    texts = {"hero", "model_name", "profile.name", "profile.system_prompt", "hyperparams.fp_precision", "gates.level"}
    texts |= {"trainer.packing", "trainer.gradient_checkpointing", "trainer.tf32", "trainer.compile"}
    texts |= {"trainer.device", "services.host", "services.allowed_hosts", "services.ports"}
    texts |= {"auto_generate.enabled", "auto_generate.priority", "auto_generate.host", "curriculum.skills"}
    texts |= {"examination.where", "self_correction.enabled", "self_correction.auto_queue"}
    texts |= {"notifications.events", "notifications.targets"}
    texts |= {"retention.enabled", "retention.keep", "retention.snapshot_time", "vault.roots"}
    assert {name for name in setting_names() if limit_of(name) is None} == unlimited | texts


@pytest.mark.parametrize(
    ("written", "meant"), [("02:00", "02:00"), ("'02:00'", "02:00"), ("2:00", "02:00"), ("12:30", "12:30")]
)
def test_a_time_of_day_means_the_same_with_and_without_quotes(config: Path, written: str, meant: str) -> None:
    """YAML 1.1 reads 12:30 as the number 750, and 02:00 as a text."""
    config.write_text(f"retention: {{snapshot_time: {written}}}")
    assert load_settings(config, {}).retention.snapshot_time == meant


@pytest.mark.parametrize("written", ["24:00", "'2:00'", "12:60", "noon", "1441", "true", "-5", "'02:00:00'"])
def test_what_is_no_time_of_day_is_refused(config: Path, written: str) -> None:
    config.write_text(f"retention: {{snapshot_time: {written}}}")
    with pytest.raises(InvalidInput, match="it must be a time of day from 00:00 to 23:59"):
        load_settings(config, {})


def test_checkpoints_to_keep_are_named_by_name_or_by_number(config: Path) -> None:
    config.write_text("retention: {keep: [1000, checkpoint-2000-20261121-0930, dio-20261121T093000Z]}")
    assert load_settings(config, {}).retention.keep == ("1000", "checkpoint-2000-20261121-0930", "dio-20261121T093000Z")
    assert load_settings(config, {"REALM_RETENTION__KEEP": "1000, 2000"}).retention.keep == ("1000", "2000")


def test_settings_nested_beyond_all_reason_are_refused_like_any_that_are_not_yaml(config: Path) -> None:
    config.write_text("hero: " + "[" * 5000)
    with pytest.raises(InvalidInput, match="not valid YAML"):
        load_settings(config, {})
