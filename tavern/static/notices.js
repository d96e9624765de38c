// Which events people are told of wherever they are on the page, and as what.

// The same that ravens bring to phones: arena/ravens/kinds.py, which a test compares. `answer` is what a button did; the
// others are kinds that people choose from for notifications of their browser.
const KIND_OF_EVENT = {
  quest_sealed: "quest",
  achievement: "level",
  level_mastered: "level",
  asset_not_carried: "trouble",
  checkpoint_quarantined: "trouble",
  checkpoint_rotten: "trouble",
  database_corrupt: "trouble",
  disk_failing: "trouble",
  disk_full: "trouble",
  disk_low: "trouble",
  disk_missing: "trouble",
  disk_read_only: "trouble",
  disk_short: "trouble",
  examination_not_kept: "trouble",
  head_rotten: "trouble",
  journal_failed: "trouble",
  no_checkpoint_left: "trouble",
  quest_lost: "trouble",
  quest_refused: "trouble",
  quest_rejected: "trouble",
  quest_strike: "trouble",
  quest_unreadable: "trouble",
  quest_withdrawn: "trouble",
  quests_wait_for_model: "trouble",
  realm_was_cut_off: "trouble",
  save_failed: "trouble",
  settings_invalid: "trouble",
  trainer_died: "trouble",
  trainer_held: "trouble",
  trainer_silent: "trouble",
  went_back: "trouble",
};

// "quest", "level" or "trouble"; null for all that happens too often, or matters too little, to interrupt anybody (F17).
export function noticeOf({ kind }) {
  if (kind.endsWith("_blocked")) return "trouble";
  return Object.hasOwn(KIND_OF_EVENT, kind) ? KIND_OF_EVENT[kind] : null;
}
