// Which events change what the vault holds, and which tell of errands.

export const CHANGES = [
  "checkpoint_saved",
  "pruned",
  "rewound",
  "adopted",
  "went_back",
  "trainer_ready",
  "checkpoint_quarantined",
  "catalog_changed",
  "asset_carried",
  "snapshot_taken",
  "errand_done",
];

export const ERRAND_NEWS = ["errand_begun", "errand_progress", "errand_done", "errand_failed"];
