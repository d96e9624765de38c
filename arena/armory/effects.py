"""When a changed setting takes effect in a realm that runs."""

from __future__ import annotations

from typing import Literal

Effect = Literal["now", "next_claim", "trainer_start", "realm_start", "never"]
"""`now`: with the next look at it, a minute at most. `next_claim`: for quests that are claimed from then on.
`trainer_start`: when the trainer is started again, as after stop and resume. `never`: a key of older settings."""

_OF_SECTION: dict[str, Effect] = {
    "": "trainer_start",
    "profile": "next_claim",
    "hyperparams": "next_claim",
    "inbox": "realm_start",
    "gates": "now",
    "trainer": "trainer_start",
    "distributed": "trainer_start",
    "healing": "next_claim",
    "auto_generate": "now",
    "curriculum": "now",
    "examination": "now",
    "self_correction": "now",
    "services": "realm_start",
    "budgets": "now",
    "retention": "now",
    "disk": "realm_start",
    "scrub": "now",
    "vault": "realm_start",
    "notifications": "now",
}
_OF_SETTING: dict[str, Effect] = {
    "hero": "realm_start",
    "model_name": "realm_start",
    "save_minutes": "realm_start",
    "save_budget": "realm_start",
    "hyperparams.max_length": "realm_start",
    "hyperparams.fp_precision": "trainer_start",
    "trainer.micro_batch_tokens": "next_claim",
    "trainer.seed": "next_claim",
    "trainer.restart_backoff_seconds": "realm_start",
    "trainer.hung_seconds": "realm_start",
    "auto_generate.host": "never",
    "auto_generate.port": "never",
    "budgets.events": "realm_start",
    "budgets.metric_points": "realm_start",
    "budgets.log_megabytes": "realm_start",
    "budgets.token_cache_megabytes": "trainer_start",
    "budgets.row_book_megabytes": "trainer_start",
    "vault.bandwidth_megabytes": "now",
}

WORDS: dict[Effect, str] = {
    "now": "within a minute",
    "next_claim": "with the next quest that is claimed",
    "trainer_start": "when the trainer starts again",
    "realm_start": "when the realm starts again",
    "never": "never",
}


def effect_of(name: str) -> Effect:
    """Of the setting of this dotted name."""
    return _OF_SETTING.get(name) or _OF_SECTION[name.rpartition(".")[0]]
