"""Rows that nearly are rows of earlier quests or of the evaluation set, as far as sketches tell."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from arena.gatekeepers.deep.remarks import Remarks
from arena.gatekeepers.findings import Findings
from arena.gatekeepers.likeness.near_rows import Comparison

MOST_EXAMPLES = 20


def tell_near_duplicates(compared: Comparison, findings: Findings) -> dict[str, Any]:
    """Warn of them; the statistics `near_duplicate_stats`.

    `examples` are `{number, line, name, quest_id, other_line, alike}` as in `Likeness`, the first 20.
    """
    measured = Remarks(findings, "what is learned can hardly be measured with: take it out")
    learned = Remarks(findings, "take it out, unless it is to weigh more than others")
    for likeness in compared.found:
        remarks = learned if likeness.quest_id is not None else measured
        where = f"line {likeness.other_line} of {'the earlier quest ' if likeness.quest_id else ''}{likeness.name}"
        much = "says the same as" if likeness.alike == 1.0 else f"is about {likeness.alike:.0%} like"
        remarks.tell(likeness.number, likeness.line, None, f"the row {much} {where}")
    measured.finish("rows that nearly are held-out ones")
    learned.finish("rows that nearly are those of earlier quests")
    return {
        "checked": compared.rows,
        "files_compared": compared.files,
        "like_earlier_quests": learned.told,
        "like_held_out_rows": measured.told,
        "examples": [asdict(likeness) for likeness in compared.found[:MOST_EXAMPLES]],
    }
