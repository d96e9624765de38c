"""Examinations at quest ends: answered by the weights of that moment, kept before they are told, without a trace."""

from __future__ import annotations

import dataclasses
import errno
import json
import shutil
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace

from arena.protocol import (
    Arithmetic,
    Begin,
    Claimed,
    Command,
    Event,
    Examined,
    OpenQuest,
    Progress,
    QuestEnded,
    Ready,
    Resume,
    Skip,
    State,
    Stop,
    Trouble,
)
from arena.rendering import Renderer
from arena.supervision.position_file import Phase, read_position
from arena.trainer.engine import BattleTrainer
from arena.trainer.generation import MOST_ROWS, Manner, answer
from arena.trainer.loading.model_loading import read_model
from guild.profiles import get_profile
from tests.arena.trainer.driving import Field, Foe, assert_equal_weights
from tests.arena.trainer.examined import QUESTIONS, Recorder, live, sheet, two_quests
from tests.arena.trainer.fighting_here import fight
from tests.arena.trainer.in_process import DiskInHand, LiveBattle, Slain, living
from tests.arena.trainer.scaling.together import fight_together
from vault.manifest import check_manifest, listed_files

BOTH = {"first": sheet("bin-1"), "second": sheet("sy-2")}

Answers = Callable[[Sequence[Sequence[int]], Manner, Arithmetic | None], list[list[int] | None]]


def said(events: list[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def answers_of(checkpoint: Path, questions: list[str], tokens: int, *, profile: str = "chatml") -> list[str | None]:
    """What the weights of a checkpoint answer."""
    renderer = Renderer.load(checkpoint, get_profile(profile))
    manner = Manner(stop_ids=renderer.stop_ids, max_new_tokens=tokens, max_length=256)
    prompts = [renderer.prompt_ids([{"role": "user", "content": question}]) for question in questions]
    written = answer(read_model(checkpoint, torch.float32), prompts, manner)
    return [None if ids is None else renderer.text_of(ids) for ids in written]


@pytest.fixture(scope="module")
def plain(dropout_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    """Both quests learned, without examinations; nobody writes into it."""
    recorder = Recorder(two_quests(tmp_path_factory.mktemp("plain") / "field", dropout_model), {})
    live(recorder)
    return recorder


@pytest.fixture(scope="module")
def calm(dropout_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recorder, list[Event]]:
    """The same with examinations, and what the trainer said."""
    recorder = Recorder(two_quests(tmp_path_factory.mktemp("calm") / "field", dropout_model), BOTH)
    return recorder, live(recorder)


def copy_of(field: Field, base: Path) -> Field:
    shutil.copytree(field.base, base)
    return Field(base, field.model, dict(field.foes))


def assert_same_files(first: Path, second: Path) -> None:
    """Bit for bit: weights, moments and random state."""
    assert_equal_weights(first, second)
    for name in ("model.safetensors", "optimizer.pt", "rng_state.pth", "scheduler.pt"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_the_weights_of_a_run_with_examinations_are_those_of_one_without(
    plain: Recorder, calm: tuple[Recorder, list[Event]]
) -> None:
    """Law 3, with dropout."""
    recorder = calm[0]
    assert {exam_id: one.step for exam_id, one in recorder.recorded.items()} == {"bin-1": 5, "sy-2": 9}
    assert all(any(one.answers) for one in recorder.recorded.values())
    assert_same_files(recorder.place.head, plain.place.head)


def test_nor_do_they_change_packed_steps_in_bf16(dropout_model: Path, tmp_path: Path) -> None:
    """Law 3: attention of packed rows is taken off for an examination, and put back."""
    packed: dict[str, Any] = {"packing": "always", "fp_precision": "bf16"}
    without = Recorder(two_quests(tmp_path / "plain", dropout_model), {})
    live(without, **packed)
    examined = Recorder(two_quests(tmp_path / "examined", dropout_model), BOTH)
    live(examined, **packed)
    assert len(examined.recorded) == 2
    assert_same_files(examined.place.head, without.place.head)


def test_a_quest_is_examined_with_the_weights_of_its_end_before_the_next_step(
    calm: tuple[Recorder, list[Event]],
) -> None:
    recorder, events = calm
    kinds = [type(event).__name__ for event in events]
    quests = [event.quest_id for event in events if isinstance(event, Progress | QuestEnded | Examined)]
    assert quests == sorted(quests), "the first is examined before the second is stepped"
    assert kinds.index("Examined") > kinds.index("QuestEnded")
    assert "evaluating" in [event.state for event in said(events, State)]
    assert recorder.recorded["sy-2"].answers == answers_of(recorder.place.head, QUESTIONS, 20)
    assert all(one.seconds > 0 for one in recorder.recorded.values())
    assert said(events, Trouble) == []


def test_questions_are_asked_with_the_profile_and_the_prompt_of_the_quest(tiny_model: Path, tmp_path: Path) -> None:
    """E4: another format than was trained. D4: the answer is the model's, as it wrote it."""
    place = two_quests(tmp_path / "field", tiny_model, profile="emoji_think", system_prompt="Add.")
    asked: list[str] = []

    def listen(trainer: BattleTrainer, begin: Begin) -> None:
        renderer, answers = Renderer.load(tiny_model, get_profile("emoji_think")), trainer.answers

        def overheard(prompts: Sequence[Sequence[int]], manner: Manner, arithmetic: Arithmetic | None) -> Any:
            asked.extend(renderer._tokenizer.decode(list(prompt), skip_special_tokens=False) for prompt in prompts)
            assert len(manner.processors(9)) == 2
            return answers(prompts, manner, arithmetic)

        vars(trainer)["answers"] = overheard

    live(Recorder(place, {"first": sheet("bin-1")}), listen)
    assert len(asked) == len(QUESTIONS)
    for question, text in zip(QUESTIONS, asked, strict=True):
        assert text.startswith(f"<|im_start|>system\nAdd.<|im_end|>\n<|im_start|>user\n{question}")
        assert text.endswith("<|im_end|>\n<|im_start|>assistant\n")


def interrupting(disturb: Callable[[BattleTrainer], None], *, exam: int = 1) -> Callable[[BattleTrainer, Begin], None]:
    """Before the fourth token of that examination, `disturb` happens."""

    def prepare(trainer: BattleTrainer, begin: Begin) -> None:
        answers, exams = trainer.answers, count(1)

        def disturbed(prompts: Sequence[Sequence[int]], manner: Manner, arithmetic: Arithmetic | None) -> Any:
            number, tokens = next(exams), count(1)

            def between() -> None:
                if (number, next(tokens)) == (exam, 4):
                    disturb(trainer)
                manner.between()

            return answers(prompts, dataclasses.replace(manner, between=between), arithmetic)

        vars(trainer)["answers"] = disturbed

    return prepare


def test_a_stop_cuts_an_examination_off_and_the_next_trainer_takes_it(
    calm: tuple[Recorder, list[Event]], tmp_path: Path, dropout_model: Path
) -> None:
    """Nothing is lost, nothing is learned meanwhile, and the answers are the same."""
    cut = Recorder(two_quests(tmp_path / "cut", dropout_model), BOTH)
    events = live(cut, interrupting(lambda trainer: trainer._battle.situation.orders.stop("a test")))
    assert said(events, Examined) == cut.kept.all() == []
    assert list(cut.place.paths.examinations.iterdir()) == [], "nobody has died of it"
    assert cut.place.head.name.startswith("checkpoint-5-")
    kinds = [type(event).__name__ for event in live(cut)]
    assert kinds.index("Examined") < kinds.index("Progress")
    told, wanted = ({name: one.answers for name, one in each.recorded.items()} for each in (cut, calm[0]))
    assert told == wanted
    assert_same_files(cut.place.head, calm[0].place.head)


def slay(trainer: BattleTrainer) -> None:
    raise Slain


def test_an_examination_that_kills_each_trainer_is_given_up_and_training_goes_on(
    tiny_model: Path, tmp_path: Path
) -> None:
    """E7: what nobody could answer was wrong. Taken again by each next trainer, it held all training up for ever."""
    recorder = Recorder(two_quests(tmp_path / "field", tiny_model), BOTH)
    together: list[int] = []

    def slay_and_note(trainer: BattleTrainer, begin: Begin) -> None:
        interrupting(slay)(trainer, begin)
        answers = trainer.answers

        def noted(prompts: Sequence[Sequence[int]], manner: Manner, arithmetic: Arithmetic | None) -> Any:
            together.append(manner.most_rows)
            return answers(prompts, manner, arithmetic)

        vars(trainer)["answers"] = noted

    for _ in range(2):
        with pytest.raises(Slain):
            live(recorder, slay_and_note)
    assert together == [MOST_ROWS, 1], "the second try needs the least memory"
    events = live(recorder)
    assert recorder.recorded["bin-1"].answers == [None] * len(QUESTIONS)
    assert recorder.recorded["sy-2"].answers == answers_of(recorder.place.head, QUESTIONS, 20)
    (trouble,) = said(events, Trouble)
    assert trouble.what == "examination_incomplete"
    assert trouble.message == "bin-1 is given up: the trainer has died in it 2 times."
    assert list(recorder.place.paths.examinations.iterdir()) == []


def test_an_examination_that_one_trainer_died_in_is_taken_by_the_next(
    calm: tuple[Recorder, list[Event]], tmp_path: Path, dropout_model: Path
) -> None:
    """One by one, which in fp32 are the same answers; a stop meanwhile leaves what is counted as it is."""
    recorder = Recorder(two_quests(tmp_path / "field", dropout_model), BOTH)
    with pytest.raises(Slain):
        live(recorder, interrupting(slay))
    marker = recorder.place.paths.examinations / "bin-1.tries"
    live(recorder, interrupting(lambda trainer: trainer._battle.situation.orders.stop("a test")))
    assert marker.read_text() == "1\n"
    live(recorder)
    told, wanted = ({name: one.answers for name, one in each.recorded.items()} for each in (recorder, calm[0]))
    assert told == wanted
    assert not marker.exists()


def test_no_quest_is_charged_with_a_death_while_an_examination_is_prepared(tiny_model: Path, tmp_path: Path) -> None:
    """The position stands at the next quest then, which has done nothing."""
    place, phases = two_quests(tmp_path / "field", tiny_model), []

    def listen(trainer: BattleTrainer, begin: Begin) -> None:
        examiner = trainer._battle._examiner
        renderer_for = examiner._renderer_for

        def overheard(profile: str) -> Renderer:
            position = read_position(place.paths.current_model / ".position")
            phases.append(position and position.phase)
            return renderer_for(profile)

        vars(examiner)["_renderer_for"] = overheard

    live(Recorder(place, {"first": sheet("bin-1")}), listen)
    assert phases == [Phase.WAITING]


def test_a_pause_holds_an_examination_until_it_is_resumed(tiny_model: Path, tmp_path: Path) -> None:
    place = two_quests(tmp_path / "field", tiny_model)
    recorder = Recorder(place, BOTH)

    def pause(trainer: BattleTrainer) -> None:
        trainer._battle.situation.orders.pause_reason = "a test"

    def resume(event: Event) -> Command | None:
        return Resume() if isinstance(event, State) and event.state == "paused" else recorder.answer(event)

    told = recorder.open_quests()
    events = fight(place, answer=resume, prepare=interrupting(pause), open_quests=told)
    states = [event.state for event in said(events, State)]
    held = states.index("paused")
    assert states[held - 1 : held + 2] == ["evaluating", "paused", "evaluating"]
    assert set(recorder.recorded) == {"bin-1", "sy-2"}


def test_what_lies_there_is_told_and_not_asked_again(calm: tuple[Recorder, list[Event]], tmp_path: Path) -> None:
    """E13: the daemon died before it had the answers on record."""
    recorder = Recorder(copy_of(calm[0].place, tmp_path / "field"), {"second": BOTH["second"]})
    told, kept = recorder.open_quests(), calm[0].recorded["sy-2"]
    recorder.kept.keep(kept)
    events = fight(recorder.place, answer=stop_at_examined, prepare=never_asked, open_quests=told)
    assert said(events, Examined) == [kept]


def stop_at_examined(event: Event) -> Command | None:
    return Stop(reason="it is told") if isinstance(event, Examined) else None


def never_asked(trainer: BattleTrainer, begin: Begin) -> None:
    def answers(*arguments: object) -> Any:
        raise AssertionError("it was asked again")

    vars(trainer)["answers"] = answers


def test_what_was_not_taken_in_time_is_unknown_and_never_asked_of_other_weights(
    plain: Recorder, tmp_path: Path
) -> None:
    """E2, E7: an evaluation of other weights was recorded for these, and what could not be asked was wrong."""
    place = copy_of(plain.place, tmp_path / "field")
    events = fight(place, answer=stop_after_two(), open_quests=Recorder(place, BOTH).open_quests())
    first, second = said(events, Examined)
    assert first.answers == [None] * len(QUESTIONS)
    assert second.answers == answers_of(place.head, QUESTIONS, 20)
    (trouble,) = said(events, Trouble)
    assert trouble.what == "examination_incomplete"
    assert "bin-1 was not taken when first.jsonl was over" in trouble.message


def stop_after_two() -> Callable[[Event], Command | None]:
    seen: list[Event] = []

    def stop(event: Event) -> Command | None:
        seen.extend([event] if isinstance(event, Examined) else [])
        return Stop(reason="both are told") if len(seen) == 2 else None

    return stop


def test_what_cannot_be_asked_or_answered_is_unknown_and_training_goes_on(tiny_model: Path, tmp_path: Path) -> None:
    """E6: an error was returned as the answer. E7: it counted as wrong, and the level fell."""
    place = two_quests(tmp_path / "field", tiny_model)
    long = sheet("bin-1", questions=["add 1 and 1", "x" * 300])
    recorder = Recorder(place, {"first": long, "second": sheet("sy-2")})

    def break_down(trainer: BattleTrainer) -> None:
        raise ArithmeticError("it cannot count")

    events = live(recorder, interrupting(break_down, exam=2))
    known = [text is not None for text in recorder.recorded["bin-1"].answers]
    assert known == [True, False]
    assert recorder.recorded["sy-2"].answers == [None] * len(QUESTIONS)
    assert [event.outcome for event in said(events, QuestEnded)] == ["learned", "learned"]
    troubles = [event.message for event in said(events, Trouble)]
    assert troubles == [
        "Of the questions of bin-1, 1 could not be answered.", "sy-2 could not be taken: it cannot count.",
    ]  # fmt: skip


def test_a_skipped_quest_is_examined_too(tiny_model: Path, tmp_path: Path) -> None:
    """Whoever waits for the answers before the next quest is made does not wait in vain."""
    field = two_quests(tmp_path / "field", tiny_model)
    with living(field) as life:
        claim_with_sheet(life, field.foes["first"])
        life.make_steps(2)
        life.ask(Skip(quest_id="first", reason="a test"))
        life._reins.allow(10_000)
        assert life.until(QuestEnded).outcome == "skipped"
        assert life.until(Examined).quest_id == "first"
        life.stop()


def claim_with_sheet(life: LiveBattle, foe: Foe) -> None:
    """The trainer stands before its first step then."""
    life.send(replace(foe.claim(), examination=sheet("bin-1")))
    life.until(Claimed)
    life._reins.wait_until_standing()


def test_answers_wait_for_the_disk_before_they_are_told(tiny_model: Path, tmp_path: Path) -> None:
    """A28: a full disk is waited out, warm."""
    field, disk = Field(tmp_path / "field", tiny_model), DiskInHand()
    foe = field.foe("first", 8)
    with living(field, disk) as life:
        claim_with_sheet(life, foe)
        disk.refuses = errno.ENOSPC
        life._reins.allow(10_000)
        paused = life.until(State, lambda state: state.state == "paused")
        assert "the answers of bin-1 cannot be written" in (paused.reason or "")
        assert life.said(Examined) == []
        disk.refuses = None
        examined = life.until(Examined)
        assert [trouble.what for trouble in life.said(Trouble)] == ["examination_not_kept"]
        life.stop()
    assert Recorder(field, {}).kept.all() == [examined]


def test_of_several_processes_the_first_answers_alone(dropout_model: Path, tmp_path: Path) -> None:
    """E15: several machines counted the answers of one evaluation differently."""
    recorder = Recorder(two_quests(tmp_path / "field", dropout_model), BOTH)
    told = recorder.open_quests()
    fight_together(recorder.place, processes=2, answer=recorder.answer, open_quests=told)
    assert set(recorder.recorded) == {"bin-1", "sy-2"}
    assert recorder.recorded["sy-2"].answers == answers_of(recorder.place.head, QUESTIONS, 20)


def test_checkpoints_carry_the_curriculum_that_was_told_last(tiny_model: Path, tmp_path: Path) -> None:
    place = two_quests(tmp_path / "field", tiny_model)
    second = replace(place.foes["second"].claim(), curriculum={"bin": {"mastered_level": 3}})

    def answer_with(event: Event) -> Command | None:
        if isinstance(event, Ready):
            return place.foes["first"].claim()
        if isinstance(event, QuestEnded):
            return second if event.quest_id == "first" else Stop(reason="both are learned")
        return None

    begun = {"bin": {"mastered_level": 2}}
    fight(place, answer=answer_with, curriculum=begun, save_steps=3)
    told = {head: json.loads((head / "curriculum.json").read_text()) for head in checkpoints(place)}
    assert [found["bin"]["mastered_level"] for found in told.values()] == [2, 3, 3]
    for head in told:
        assert "curriculum.json" in listed_files(head)
        assert check_manifest(head) == []


def test_checkpoints_without_a_curriculum_are_as_they_were_and_resume_asks_for_none(
    tiny_model: Path, tmp_path: Path
) -> None:
    place = two_quests(tmp_path / "field", tiny_model)
    fight(place, place.foes["first"].claim(), stop_at_step=3, curriculum={})
    assert json.loads((place.head / "curriculum.json").read_text()) == {}
    nobody = OpenQuest(quest_id="nobody", path="nowhere", examination=sheet("bin-9"))
    events = fight(place, stop_at_step=5, open_quests=[*place.begin().open_quests, nobody])
    assert not (place.head / "curriculum.json").exists()
    assert place.history.rows_learned(1) == 20
    assert said(events, Examined) == [], "a sheet of a quest that nobody has learned is left alone"


def checkpoints(place: Field) -> list[Path]:
    found = place.paths.current_model.glob("checkpoint-*")
    return sorted(found, key=lambda path: int(path.name.split("-")[1]))
