"""What may be set: the sections of `configs/realm.yaml`, their types, defaults and meaning, as frozen objects.

A hero's own values (`configs/heroes/*.yaml`) fill whatever `hyperparams` and `profile` leave at null.
`core.settings_reading` reads them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.setting_types import (
    Address,
    Days,
    Entries,
    Folders,
    HostNames,
    Megabytes,
    Names,
    NewsNames,
    Port,
    SecretAddresses,
    Steps,
    TimeOfDay,
    Weights,
    is_loopback,
)


class Section(BaseModel):
    # What a field means stands below it; `core.setting_docs` reads that when somebody asks for it.
    # Infinity and NaN pass every `ge=`; they end up in JSON, which cannot hold them.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ProfileSettings(Section):
    name: str | None = None
    """How chats are rendered: `chatml` (also called `plain`), `native` (the model's own template), `emoji_think` or
    `regime3`; null takes the hero's."""

    system_prompt: str | None = None
    """System prompt put before chats that have none; null takes the hero's."""


class Hyperparams(Section):
    """How the hero learns; null takes the hero's value. Read again at every claim."""

    max_length: Annotated[int, Field(ge=128, le=32768)] | None = None
    """Tokens of one row at most; longer rows are cut on the right. Locked once the hero has trained."""

    batch_size: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Rows per micro-batch as the user thinks of it; times `gradient_accumulation` = rows per step."""

    gradient_accumulation: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Multiplies `batch_size` to the rows of one optimizer step."""

    learning_rate: Annotated[float, Field(ge=1e-7, le=1e-1)] | None = None
    """Learning rate after warm-up; constant."""

    warmup_steps: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    """Steps over which the learning rate rises linearly from the hero's first step on."""

    weight_decay: Annotated[float, Field(ge=0, le=1)] | None = None
    """Decoupled weight decay of AdamW."""

    max_grad_norm: Annotated[float, Field(gt=0)] | None = None
    """Gradients are scaled down to this global norm."""

    epochs: Annotated[int, Field(ge=1, le=1000)] | None = None
    """How often each row of a quest is learned."""

    fp_precision: Literal["fp32", "bf16"] | None = None
    """Arithmetic of the forward and backward pass; weights are kept in fp32."""


class InboxSettings(Section):
    settle_seconds: Annotated[float, Field(ge=0, le=86_400)] = 1.0
    """Seconds for which size and mtime of a file must stand still before it is taken."""

    incomplete_seconds: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    """Seconds for which a file that ends in the middle must stand still before it is judged all the same."""

    scan_seconds: Annotated[float, Field(ge=0.01, le=86_400)] = 0.5
    """Seconds between two full scans of `inbox/`; file system events only bring the next scan forward."""

    upload_megabytes: Megabytes = 2048
    """Size of a file in MB that may be uploaded through the page at most; copied into `inbox/`, it may have 10 GB."""


class GateSettings(Section):
    level: Literal["quick", "standard", "deep"] = "standard"
    """What a quest must pass before it is trained: `standard` measures its rows as the model will see them, `deep`
    also warns of what they say, `quick` lets in whatever the inbox let in."""


class TrainerSettings(Section):
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model lives; `auto` takes CUDA when torch finds it."""

    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPU threads of torch; null takes one per physical core. Part of bit-for-bit reproducibility."""

    micro_batch_tokens: Annotated[int, Field(ge=128, le=1_000_000_000)] | Literal["auto"] = "auto"
    """Padded tokens in one forward pass at most (a single longer row still passes); `auto` is what a short trial
    found to be quickest, made once for a hero on a machine. Fixed in each quest's claim."""

    packing: Literal["auto", "always", "never"] = "auto"
    """Rows behind each other without filling, none seeing another: `auto` on a CPU, and where the GPU has a kernel for
    it (with bf16); `always` also without one, row by row. A change holds from the next start of the trainer on, for
    quests that are claimed then."""

    gradient_checkpointing: Literal["auto", "always", "never"] = "auto"
    """Whether activations are computed again in the backward pass, which takes less memory and more time: `auto` where
    they are not expected to fit. What is learned is the same."""

    tf32: bool = False
    """Whether a GPU may multiply fp32 matrices with the shorter mantissa of TF32. Changes hold as with `packing`."""

    compile: bool = False
    """Whether torch.compile makes kernels for the layers at each start of the trainer, which takes up to minutes and
    needs g++, on a GPU Triton; without them it trains uncompiled. Changes hold as with `packing`."""

    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = 42
    """Seed of row order, of weights made on the spot and of dropout."""

    restart_backoff_seconds: Annotated[float, Field(ge=0, le=60)] = 1.0
    """Pause before a dead trainer is started again; doubles with each death without progress, 60 s at most."""

    hung_seconds: Annotated[float, Field(ge=5, le=86_400)] = 120.0
    """Without a sign of life for so long (or 20 times its longest silence so far, an hour at most), a trainer hangs:
    it is asked to end, writes where it stands into `logs/trainer-output.log`, and is killed and started again."""


class DistributedSettings(Section):
    """Several processes that train one hero together. The claim of a quest says into how many shares its steps are cut,
    so that more or fewer of them may learn it again: on a CPU to the same bits."""

    processes: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes on this machine, started by torchrun, among which each step is shared: one for each GPU, or on a CPU
    each with `trainer.threads`, which must be set for equal bits. `realm train` and `realm prove-resume` take one."""


class HealingSettings(Section):
    """What becomes of steps that must not teach. Read again at every claim."""

    spike_ratio: Annotated[float, Field(ge=0, le=1_000_000)] = 4.0
    """A step whose loss and gradient norm are this many times what is usual in its quest may be a spike, which teaches
    nothing; 0 looks for none."""

    spike_deviations: Annotated[float, Field(ge=0, le=1_000_000)] = 6.0
    """A spike also lies so many standard deviations above what is usual in its quest, on a logarithmic scale."""

    dropped_in_a_row: Annotated[int, Field(ge=1, le=1000)] = 3
    """After so many steps running that taught nothing, learning goes back to before them."""

    rollbacks: Annotated[int, Field(ge=0, le=10)] = 2
    """How often learning goes back within one quest; then the quest is withdrawn, and what it taught is undone. 0 never
    goes back: the quest is withdrawn at once, and what it taught stays."""


class AutoGenerateSettings(Section):
    """Quests that the guild makes by itself, of the skills and levels of the curriculum. Read again at each of them."""

    enabled: bool = False
    """Whether quests are made while the board is low."""

    count: Annotated[int, Field(ge=1, le=100_000)] = 2000
    """Rows of one quest, rehearsal included."""

    priority: Literal["high", "normal", "low"] = "low"
    """Where they wait; behind whatever people drop, as long as it is `low`."""

    threshold: Annotated[int, Field(ge=0, le=1_000_000)] = 1
    """One is made only while at most so many quests wait on the board, whoever made them."""

    min_queue_depth: Annotated[int, Field(ge=0, le=8)] = 2
    """So many made quests may wait beside the one that is learned. Each is made from what was mastered so many quests
    and one before it, so that a run repeats from its seed: 0 follows at once, and lets the trainer wait."""

    cooldown_sec: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    """Seconds between two of them at least."""

    host: str | None = None
    """Taken from older settings and without effect: the file of a skill says where its problems come from."""

    port: Port | None = None
    """As with `host`."""


class CurriculumSettings(Section):
    """What is learned when, and what is kept alive."""

    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = 42
    """Seed of all problems that are taught and asked; with it, and the model's own seed, a run repeats."""

    skills: Weights = {"bin": 1.0}
    """Skills that quests are made of, and how many of one for how many of another."""

    target_accuracy: Annotated[float, Field(gt=0, le=1)] | None = None
    """Part of the answers that must be right to master a level; null takes what the skill's file says."""

    min_evals_for_progression: Annotated[int, Field(ge=1, le=100)] = 3
    """So many examinations at its level, the newest ones, must reach that together."""

    rehearsal: Annotated[float, Field(ge=0, le=0.9)] = 0.25
    """Part of a quest's rows that is of mastered levels; up to twice as much where re-examinations show forgetting."""


class ExaminationSettings(Section):
    """The hero answers problems that are never taught, after the last step of each quest that the guild made."""

    where: Literal["trainer", "off"] = "trainer"
    """Who asks: the trainer, with the model in its memory, or nobody; then no level is ever mastered."""

    problems: Annotated[int, Field(ge=1, le=1000)] = 20
    """Fresh problems of the level being learned."""

    rehearsal_problems: Annotated[int, Field(ge=0, le=1000)] = 10
    """Problems of one mastered level, each in its turn, to see what is forgotten; 0 looks at none."""

    max_new_tokens: Annotated[int, Field(ge=1, le=32_768)] | None = None
    """Tokens of one answer at most; null takes twice what the longest right answer could need."""


class SelfCorrectionSettings(Section):
    """Quests from examined mistakes: new problems of the kinds that were answered wrongly, never the examined ones."""

    enabled: bool = False
    """Whether examinations are looked through for mistakes. A run with it does not repeat from its seed."""

    auto_queue: bool = True
    """Whether the quest goes into the inbox; else the error patterns are told in `status/self_correction.json` only."""

    max_examples: Annotated[int, Field(ge=1, le=5000)] = 200
    """Rows of one such quest at most; three for each mistake, as far as that allows."""

    generation_interval: Annotated[int, Field(ge=1, le=1000)] = 5
    """So many examinations are looked through together."""


class ServiceSettings(Section):
    host: Address = "127.0.0.1"
    """Address that the sites listen on. Any but a loopback one makes them want the token of `.realm.token`."""

    allowed_hosts: HostNames = ()
    """Names under which the sites are reached, beside loopback and their own address; other names are refused."""

    tavern: Port = 8888
    """Port of the Tavern, the page for people."""

    vault: Port = 8767
    """Port of the VaultKeeper API: ledger, training status, queue and control."""

    watchtower: Port = 8081
    """Port of the Watchtower."""

    ports: Literal["fixed", "auto"] = "fixed"
    """`auto` takes any free port for each site; `status/services.json` tells which."""

    @property
    def is_local(self) -> bool:
        """True when only programs of this machine get through to the sites."""
        return is_loopback(self.host)

    @model_validator(mode="after")
    def _no_port_twice(self) -> ServiceSettings:
        ports = (self.tavern, self.vault, self.watchtower)
        if self.ports == "fixed" and len(set(ports)) < len(ports):
            given = ", ".join(map(str, ports))
            raise ValueError(f"tavern, vault and watchtower need three different ports, not {given}")
        return self


class BudgetSettings(Section):
    """Nothing grows without bound (law 9)."""

    events: Entries = 100_000
    """Events kept in the saga; older ones are deleted."""

    metric_points: Entries = 200_000
    """Points kept per metric series; the older half is thinned to every second point when it is full. Mean, least and
    greatest value of each 64, 4096 and 262144 steps are kept beside them, as many rows of each, and stay those of all
    points."""

    log_megabytes: Megabytes = 64
    """Size of each log file family under `logs/`, in MB, spread over eight rotated files."""

    completed_days: Days = 7.0
    """Days for which files stay in `queue/recently_completed/`."""

    completed_megabytes: Megabytes = 4096
    """Size of `queue/recently_completed/` in MB; beyond it the oldest files go before their days are over."""

    failed_days: Days = 90.0
    """Days for which files and their rejection reports stay in `queue/failed/`."""

    failed_megabytes: Megabytes = 4096
    """Size of `queue/failed/` in MB; beyond it the oldest files go before their days are over."""

    token_cache_megabytes: Annotated[int, Field(ge=0, le=1_000_000)] = 1024
    """Size of `queue/.tokens/` in MB, where the tokens of quests are kept that may be needed again; 0 keeps none."""

    sketch_megabytes: Annotated[int, Field(ge=0, le=100_000)] = 64
    """Size of `queue/.sketches/` in MB: 72 bytes of each row of all quests, by which DEEP finds rows that were learned
    before; the oldest go first, 0 keeps none."""

    row_book_megabytes: Annotated[int, Field(ge=0, le=100_000)] = 256
    """Size of `queue/.rows/` in MB: 16 bytes of each row of the quests that are still there, for `realm quest rows`;
    the oldest go first, 0 keeps none."""

    quarantined_checkpoints: Annotated[int, Field(ge=0, le=1000)] = 3
    """Checkpoints that were set aside, kept for a look; torn ones go first, then those of the fewest steps."""


class DiskSettings(Section):
    """Room on the disk, which is watched all the time."""

    reserve_megabytes: Megabytes = 64
    """Room in MB kept back by `current_model/.headroom`. It is given up when the disk is full, so that quests, journal
    and status can still be written; training then pauses until there is twice as much again."""

    warn_saves: Annotated[int, Field(ge=1, le=1000)] = 3
    """With room for fewer checkpoints than this a warning is told, and what may go by the rules of retention goes."""


class RetentionSettings(Section):
    """What is kept of the model's past. HEAD, the newest and the best checkpoint, and what a model began with, always
    stay; `realm vault prune --dry-run` shows what goes and why."""

    enabled: bool = True
    """Whether checkpoints, branches, archived models and snapshots are deleted by these limits at all."""

    resumable: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """Checkpoints to resume from that are kept, the newest ones."""

    weights_only: Annotated[int, Field(ge=0, le=1_000_000)] = 20
    """Checkpoints without an optimizer that are kept, the newest ones."""

    branches: Annotated[int, Field(ge=0, le=1_000_000)] = 20
    """Checkpoints that rewinds and adoptions have left behind: how many are kept, of the latest branches first."""

    branch_days: Days = 90.0
    """Days for which a checkpoint stays on a branch."""

    archives: Annotated[int, Field(ge=0, le=1_000_000)] = 10
    """Archived models that are kept; the latest one of each hero always is."""

    archive_days: Days = 365.0
    """Days for which a model that is not its hero's latest stays in the archive."""

    min_age_hours: Annotated[float, Field(ge=0, le=1_000_000)] = 36.0
    """Whatever is younger stays, but for the checkpoint in the rolling slot."""

    total_gigabytes: Annotated[int, Field(ge=1, le=1_000_000)] = 150
    """Size of all of them together, in GB; beyond it the oldest go that nothing holds."""

    keep: Names = ()
    """Names or steps of checkpoints, and names of archived models and snapshots, that are never deleted."""

    copies: Annotated[int, Field(ge=0, le=1_000_000)] = 20
    """Checkpoints that were fetched from other hosts to `models/`: how many are kept, of the newest steps. Others go
    only while another whole copy of them is known."""

    copies_gigabytes: Annotated[int, Field(ge=1, le=1_000_000)] = 150
    """Size of these together, in GB; beyond it the oldest go, on the same condition."""

    backups: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    """Backups that are kept in each stronghold, the newest ones. By themselves they go from `backups/` of the base
    directory, and from a stronghold whose profile says `auto_cleanup`; elsewhere `realm vault purge` deletes."""

    backup_days: Days = 90.0
    """Days for which a backup stays; `retention_days` of a stronghold's profile goes before."""

    backup_gigabytes: Annotated[int, Field(ge=1, le=1_000_000)] = 500
    """Size of the backups in one stronghold, in GB; `max_size_gb` of its profile goes before."""

    proof_days: Days = 1.0
    """The last whole copy of something that is held is never deleted. Another copy counts when all of it was read
    within so many days; where that is longer ago, it is read again for it."""

    snapshots: Annotated[int, Field(ge=0, le=36_500)] = 14
    """Daily snapshots that are kept, one for each day; 0 takes none."""

    snapshot_time: TimeOfDay = "02:00"
    """Local time after which the snapshot of the day is taken."""


class ScrubSettings(Section):
    """Checkpoints are read again while nothing is trained and nothing comes in, to find rot before they are needed."""

    every_days: Days = 7.0
    """Days after which a checkpoint is read and compared with its hashes again; `status/scrub.json` has the dates."""

    megabytes_per_second: Annotated[int, Field(ge=0, le=100_000)] = 20
    """How fast it is read, in MB a second; 0 never reads."""


class VaultSettings(Section):
    """The catalog of assets and its API."""

    roots: Folders = ()
    """Directories outside of the base directory whose assets may be registered over HTTP, and fetched to; absolute
    paths. Inside the base directory everything may be registered, and `models/` may be fetched to."""

    bandwidth_megabytes: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    """At most so many MB a second for each transfer that this host asks for, from another one or to it; `--limit` may
    ask for less. Left out, a transfer takes what there is."""


class NotificationSettings(Section):
    """Messages to a phone, a chat or a mailbox. Read again whenever the file changes."""

    targets: SecretAddresses = ()
    """Addresses as apprise writes them, such as `ntfy://my-topic` or `discord://id/token`, 16 at most; from the
    environment with spaces between. They are secrets: pages show the service alone."""

    events: NewsNames = ("quest_complete", "level_up", "trouble")
    """What is told: a quest is complete, a level is mastered or an achievement earned, something is wrong."""

    gather_seconds: Annotated[float, Field(ge=0, le=86_400)] = 10.0
    """What happens within so many seconds of the first news goes out as one message."""


class Settings(Section):
    """All settings of one realm."""

    hero: str = "seedling"
    """The hero that trains: the name of a file in `configs/heroes/`."""

    model_name: str | None = None
    """Overrides the hero's base model: a directory under `models/` or a hub id. Locked once the hero has trained."""

    profile: ProfileSettings = ProfileSettings()
    hyperparams: Hyperparams = Hyperparams()
    save_steps: Steps = 10_000
    """Every this many steps a checkpoint is kept as a milestone; all others share one rolling slot."""

    save_minutes: Annotated[float, Field(gt=0, le=1_000_000)] = 30.0
    """A trained quest waits at most this long for the checkpoint that seals it."""

    save_budget: Annotated[float, Field(gt=0, le=1)] = 0.05
    """Part of the wall time that rolling saves may take."""

    eval_steps: Steps = 500
    """Steps between two measurements of the loss on `data/validation/*.jsonl`."""

    eval_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 200
    """Validation rows measured each time, the same ones always."""

    inbox: InboxSettings = InboxSettings()
    gates: GateSettings = GateSettings()
    trainer: TrainerSettings = TrainerSettings()
    distributed: DistributedSettings = DistributedSettings()
    healing: HealingSettings = HealingSettings()
    auto_generate: AutoGenerateSettings = AutoGenerateSettings()
    curriculum: CurriculumSettings = CurriculumSettings()
    examination: ExaminationSettings = ExaminationSettings()
    self_correction: SelfCorrectionSettings = SelfCorrectionSettings()
    services: ServiceSettings = ServiceSettings()
    budgets: BudgetSettings = BudgetSettings()
    retention: RetentionSettings = RetentionSettings()
    disk: DiskSettings = DiskSettings()
    scrub: ScrubSettings = ScrubSettings()
    vault: VaultSettings = VaultSettings()
    notifications: NotificationSettings = NotificationSettings()
