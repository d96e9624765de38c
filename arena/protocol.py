"""What the daemon and the trainer child say to each other: versioned JSON lines over a Unix socket.

The child connects to the socket named in `REALM_TRAINER_SOCKET` and says `Hello`; the daemon answers `Begin`;
from then on commands flow down and events flow up. Torch-free. `Progress` may be coalesced, every other
event arrives in order and exactly once while the connection lives.
"""

from __future__ import annotations

from typing import Any

import msgspec

PROTOCOL_VERSION = 4
SOCKET_VARIABLE = "REALM_TRAINER_SOCKET"

CURRICULUM_FILE = "curriculum.json"
"""In a checkpoint: the curriculum as the daemon had told it by then. The daemon alone reads it."""

DISK_RESERVE_BYTES = 256 << 20
"""What a save leaves free where nobody has set it."""


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag=str.lower):
    """One line on the socket; the field `kind` is the class name in lower case."""


class Arithmetic(msgspec.Struct, frozen=True, kw_only=True):
    """How steps are computed, as far as it changes a bit of what comes out of them.

    The trainer settles it from settings, machine and model. Part of a claim: a replay computes alike (ADR 0015).
    """

    precision: str = "fp32"
    """`fp32`, or `bf16`: autocast, with weights kept in fp32."""
    tf32: bool = False
    """Whether a GPU multiplies matrices of fp32 with 10 bits of mantissa."""
    attention: str = "padded"
    """`padded`: rows side by side, filled up to the longest. `rows` and `varlen`: rows behind each other without any
    filling, attention by one call for each row, or by one kernel for all of them."""
    shares: int = 1
    """Parts of a step that are computed by themselves, dropout included, and added up in order: as many as processes
    trained when it was claimed, however many make it again (ADR 0017)."""
    compiled: bool = False
    """Whether layers are run by kernels that torch.compile has made (ADR 0021)."""


class Lora(msgspec.Struct, frozen=True, kw_only=True):
    """Adapters of low rank that are trained beside frozen weights; fixed for a model's life (ADR 0018)."""

    rank: int
    alpha: int
    """What an adapter adds is scaled by `alpha / rank`, or with `rslora` by `alpha / sqrt(rank)`."""
    dropout: float
    target_modules: tuple[str, ...] | None
    """Ends of the names of the linear layers that get one; None for all but the output layer."""
    rslora: bool
    seed: int
    """From which the adapters' first weights are drawn."""


class QuestSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything beside the base model that decides what a quest does to the weights; part of its claim."""

    learning_rate: float
    warmup_steps: int
    weight_decay: float
    batch_size: int
    gradient_accumulation: int
    epochs: int
    max_length: int
    max_grad_norm: float
    micro_batch_tokens: int
    """Padded tokens of one forward and backward pass at most. 0 asks the trainer for what it has measured; in the
    journal stands what was done."""
    seed: int
    profile: str
    system_prompt: str | None = None
    spike_ratio: float = 0.0
    """Healing (ADR 0012); the defaults are what holds for claims of before. 0: spikes are not looked for."""
    spike_deviations: float = 0.0
    dropped_in_a_row: int = 3
    """Steps running whose gradients were thrown away, after which learning goes back or the quest is withdrawn."""
    rollbacks: int = 0
    """How often learning goes back within this quest before it is withdrawn; 0: what a withdrawn quest taught stays."""
    pass_tokens: int = 0
    """What one pass costs beside its tokens, in tokens: rows of a step are grouped so that passes and padding cost
    least. Filled in by the trainer; 0 in a claim of before, whose rows are grouped as they were then."""
    arithmetic: Arithmetic | None = None
    """Filled in by the trainer when it writes the claim down; None in a claim of before: plain, in `fp_precision`."""

    @property
    def rows_per_step(self) -> int:
        return self.batch_size * self.gradient_accumulation


# --- daemon → trainer -------------------------------------------------------------------------------------


class ExamSheet(msgspec.Struct, frozen=True, kw_only=True):
    """Questions that the resident model answers right after the last step of the quest that carries them (ADR 0022).

    Asked with the profile, the system prompt and the `max_length` of that quest.
    """

    exam_id: str
    """`{skill}-{number}`; the answers lie in a file of that name until the daemon has recorded them."""
    questions: list[str]
    """One user turn each."""
    max_new_tokens: int


class OpenQuest(msgspec.Struct, frozen=True, kw_only=True):
    """Where the data of a claimed quest lie at this start."""

    quest_id: str
    path: str
    sealed: bool = False
    """True when a checkpoint covered it before; its data are at hand for a fall-back to an older one."""
    examination: ExamSheet | None = None
    """Of a quest whose examination is not on record yet, sealed ones too: a stop may have come before it."""


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """A quest that must not be stepped again after three strikes."""

    quest_id: str
    reason: str


class RanOut(msgspec.Struct, frozen=True, kw_only=True):
    """The step at which a child died because the machine had no memory left for it."""

    ordinal: int
    quest_step: int
    tokens: int
    """Padded tokens that a micro-batch held at most then."""


class Begin(Message, frozen=True):
    """The first command: how to load the hero and what is still open."""

    base_model: str
    """`seedling`, a directory, or a hub id."""
    hero: str
    recipe: dict[str, int] | None
    """Sizes of a model to make on the spot (the seedling); None for any other."""
    device: str
    threads: int | None
    seed: int
    fp_precision: str
    defaults: QuestSettings
    """What a quest without options of its own is learned with; validation rows are rendered with it."""
    save_steps: int
    eval_steps: int
    eval_rows: int
    open_quests: list[OpenQuest]
    withdrawals: list[Withdrawal]
    pause_reason: str | None
    """Why it starts paused; None when it does not."""
    disk_reserve_bytes: int = DISK_RESERVE_BYTES
    """What must stay free beside a checkpoint for it to be written."""
    token_cache_bytes: int = 0
    """Size of the cache of tokens at most; 0 for none."""
    row_book_bytes: int = 0
    """Size of the books of rows (`arena.rowbook`) at most; 0 for none."""
    stop_at_step: int | None = None
    """End as after `Stop` once this global step is made; None goes on for ever."""
    ran_out: RanOut | None = None
    """That step is made with smaller micro-batches; None when nothing of the kind has happened."""
    packing: str = "never"
    """`auto`, `always` or `never`; what comes of it is part of each claim, as with the next one."""
    tf32: bool = False
    gradient_checkpointing: str = "never"
    """`auto`, `always` or `never`; changes memory and time only."""
    processes: int = 1
    """So many train together on this machine; more than one are started by torchrun."""
    compile: bool = False
    """Whether torch.compile is to make kernels for the layers."""
    lora: Lora | None = None
    """What is trained in place of all weights; a journal that has begun already says itself from which seed."""
    curriculum: dict[str, Any] | None = None
    """What the daemon wants to find in the checkpoints of this child, as `curriculum.json`; nothing here reads it."""


class Claim(Message, frozen=True):
    """Take this quest next. Sent only when the trainer has none."""

    quest_id: str
    path: str
    name: str
    content_hash: str
    schema_id: str
    settings: QuestSettings
    examination: ExamSheet | None = None
    """Answered when the quest is over, however it ends once it stands in the journal."""
    curriculum: dict[str, Any] | None = None
    """In place of what `Begin` said, from this claim on."""


class Pause(Message, frozen=True):
    reason: str


class Resume(Message, frozen=True):
    pass


class Skip(Message, frozen=True):
    """End the running quest here, if it is this one."""

    quest_id: str
    reason: str


class Save(Message, frozen=True):
    """Make a checkpoint at the next step boundary where none is being written.

    Answered by `CheckpointSaved` once it is durable, or by `SaveFailed`; on a disk without room, when there is room.
    """

    reason: str
    urgent: bool = False
    """Without room for it, training waits as well."""
    anew: bool = False
    """Also when the last checkpoint holds all that is learned: it is not whole any more."""


class Stop(Message, frozen=True):
    """Save, then exit with 0."""

    reason: str


Command = Begin | Claim | Pause | Resume | Skip | Save | Stop

# --- trainer → daemon -------------------------------------------------------------------------------------


class Hello(Message, frozen=True):
    version: int
    pid: int


class Loading(Message, frozen=True):
    """What a starting trainer is busy with, for people to read."""

    what: str


class QuestEnded(Message, frozen=True):
    """The journal says that this quest is over; its data are needed until a checkpoint covers them."""

    quest_id: str
    ordinal: int
    outcome: str
    """`learned`, `skipped`, `withdrawn`, `lost`, or `rewound` where a rewind cut it."""
    rows_learned: int
    last_step: int
    reason: str | None = None


class Ready(Message, frozen=True):
    """The model is resident. Quests of the journal that the checkpoint does not cover are replayed next."""

    step: int
    checkpoint: str | None
    """Name of the checkpoint resumed from; None when the hero starts from its base model."""
    parameters: int
    device: str
    replay: list[str]
    """Quest ids that will be stepped again (or finished) before a new claim is asked for."""
    covered: list[QuestEnded]
    """Open quests that had ended within this checkpoint; their data are not needed any more."""


class State(Message, frozen=True):
    """What the trainer does now: `idle`, `preparing`, `training`, `replaying`, `paused`, `saving`, `evaluating`."""

    state: str
    quest_id: str | None = None
    reason: str | None = None
    """Why it is paused."""


class Claimed(Message, frozen=True):
    """The quest stands in the journal and its first step follows; also sent for each replayed quest."""

    quest_id: str
    ordinal: int
    rows: int
    epochs: int
    steps: int
    """Steps of all epochs together."""
    first_step: int
    """Global step before the quest's first step."""
    quest_step: int = 0
    """Steps of it that were made before: it goes on after these."""
    rows_learned: int = 0
    """By them."""


class RowError(msgspec.Struct, frozen=True, kw_only=True):
    line: int
    message: str


class Refused(Message, frozen=True):
    """Nothing of the quest was learned: these rows cannot be trained."""

    quest_id: str
    errors: list[RowError]
    total_errors: int


class StepPoint(msgspec.Struct, frozen=True, array_like=True):
    step: int
    loss: float | None
    """Mean cross-entropy per target token, nats; None where it was not finite."""
    learning_rate: float
    grad_norm: float | None
    tokens: int
    seconds: float


class Progress(Message, frozen=True):
    """Where the trainer stands; `points` holds every step since the previous frame."""

    step: int
    quest_id: str
    epoch: int
    quest_step: int
    quest_steps: int
    rows_learned: int
    rows_total: int
    replaying: bool
    points: list[StepPoint]


class Validation(Message, frozen=True):
    """Loss over the held-out rows of `data/validation/`, nats per target token."""

    step: int
    loss: float
    rows: int


class Examined(Message, frozen=True):
    """What the model answered when a quest was over.

    It lies in `current_model/examinations/` before it is sent, and may come twice (a quest that is replayed is examined
    again and answers alike): whoever records it goes by `exam_id`, and then removes the file.
    """

    exam_id: str
    quest_id: str
    step: int
    """Global step of the weights."""
    answers: list[str | None]
    """One for each question, as the model wrote it; None where it could not be asked or could not answer."""
    seconds: float


class CheckpointSaved(Message, frozen=True):
    """A checkpoint is durable and HEAD; with an empty `record` the last one covered everything already.

    One whose record has no optimizer holds weights only: it is not HEAD and covers nothing.
    """

    name: str | None
    """Directory under `current_model/`; None when the untouched base model covers it (no step was ever made)."""
    step: int
    covers: list[str]
    """Quests that had ended when this checkpoint was made and that no earlier one covered."""
    milestone: bool
    seconds: float
    """From the step boundary that it holds until it was durable; training may have gone on meanwhile."""
    record: dict[str, Any]
    """The ledger record, as written into the checkpoint."""
    cost_seconds: float = 0.0
    """What it cost training: the time that no step was made, and the CPU time of writing beside it."""


class SaveFailed(Message, frozen=True):
    reason: str
    seconds: float


class DiskShort(Message, frozen=True):
    """A save waits for room on the disk; told again every 30 s while it waits."""

    what: str
    """Why the checkpoint is to be made."""
    needed_bytes: int
    """What must be free for it, the reserve included."""
    free_bytes: int


class Trouble(Message, frozen=True):
    """Something people should know that did not stop the trainer."""

    what: str
    message: str
    quest_id: str | None = None


class WentBack(Message, frozen=True):
    """Steps were taken back: the trainer ends, and the next one begins at an earlier checkpoint (ADR 0012)."""

    checkpoint: str | None
    """The present one from now on; None for the weights that the history began with."""
    step: int
    left_behind: list[str]
    """Checkpoints that hold the steps; they were moved to `current_model/branches/{branch}/`."""
    branch: str
    reason: str
    quest_id: str | None = None


class Exiting(Message, frozen=True):
    reason: str


Event = (
    Hello | Loading | Ready | State | Claimed | Refused | Progress | Validation | QuestEnded | Examined
    | CheckpointSaved | SaveFailed | DiskShort | Trouble | WentBack | Exiting
)  # fmt: skip

encode = msgspec.json.Encoder().encode
decode_command = msgspec.json.Decoder(Command).decode
decode_event = msgspec.json.Decoder(Event).decode
