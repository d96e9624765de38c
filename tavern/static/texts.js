// Every text of the page. Functions take values that are already formatted.

export const texts = {
  title: "Realm of Training",
  skipLink: "Skip to the battle",
  asOf: "as of",
  since: (time) => `since ${time}`,
  unknown: "–",
  plainData: "The plain numbers as JSON",
  version: (version) => `Realm of Training ${version}.`,

  states: {
    connecting: "Looking for the realm",
    away: "Away",
    unknown: "Unknown",
    starting: "Starting",
    idle: "Idle",
    preparing: "Preparing",
    training: "Training",
    replaying: "Replaying",
    evaluating: "Evaluating",
    saving: "Saving",
    pausing: "Pausing",
    paused: "Paused",
    stopping: "Stopping",
    stopped: "Stopped",
    crashed: "Restarting",
  },

  away: {
    banner: (reason, lastHeard) =>
      `The realm is away: ${reason} ${lastHeard === null ? "" : `The numbers below are from ${lastHeard}. `}` +
      "This page tries again every 2 seconds.",
    unreachable: "nothing answers on this port.",
    silent: "it does not answer in time.",
    garbled: (status) => `it answers with status ${status} and no readable message.`,
  },

  battle: {
    title: "Battle",
    rest: "No battle",
    noQuest: "The board is empty",
    health: "Rows left to learn",
    learned: "learned",
    rows: "Rows learned",
    step: "Step",
    epoch: "Epoch",
    loss: "Loss",
    learningRate: "Learning rate",
    speed: "Tokens/s",
    timeLeft: "Time left",
    of: (part, whole) => `${part} / ${whole}`,
    rowsLeft: (left) => `${left} rows left`,
    hit: (rows) => `${rows} rows`,
    hero: (name, level) => `${name}, level ${level}`,
    tab: (percent, quest) => `${percent} ${quest}`,
    hints: {
      connecting: "",
      unknown: "Nobody vouches for the state of training at the moment.",
      starting: "The hero is waking up: the model is being loaded.",
      idle: "The hero rests. Drop a JSONL file into inbox/ and it is learned.",
      preparing: "The quest is being tokenized.",
      training: "",
      replaying: "What came after the last checkpoint is being learned again, in the same order.",
      evaluating: "The loss on the validation rows is being measured.",
      saving: "A checkpoint is being written.",
      pausing: "The step under way is finished first.",
      paused: "The quest stays where it is. Resume goes on with the next row.",
      stopping: "A checkpoint is written, then the trainer ends.",
      stopped: "The trainer has ended. Resume starts it again where it stopped.",
      crashed: "The trainer died and is being started again. Nothing is lost.",
    },
  },

  foes: {
    slime: "Slime",
    golem: "Golem",
    dragon: "Dragon",
  },

  hero: {
    title: "Hero",
    level: "Level",
    atk: "ATK",
    def: "DEF",
    acc: "ACC",
    gold: "Gold",
    xpLabel: "Steps towards the next level",
    xp: (steps, missing, next) => `${steps} steps (XP). ${missing} more to level ${next}.`,
    xpUnknown: "Steps (XP) not known yet.",
    model: (name, parameters, device) => `${name}, ${parameters} parameters, on ${device}`,
    plain: {
      atk: (loss) => `1 / loss ${loss}`,
      def: (loss) => `1 / validation loss ${loss}`,
      noValidation: "no validation loss yet",
      noLoss: "no loss yet",
      acc: (value) => `exam accuracy ${value}`,
      noAcc: "no examination yet",
      gold: (quests, one) => `${quests} ${one ? "quest" : "quests"} × 100`,
      noGold: "completed quests × 100",
    },
  },

  loss: {
    title: "Loss",
    training: "training",
    validation: "validation",
    none: "No step has been taken yet.",
    caption: (first, firstStep, last, lastStep) => `From ${first} at step ${firstStep} to ${last} at step ${lastStep}.`,
    one: (loss, step) => `${loss} at step ${step}.`,
    captionValidation: (loss, step) => ` On validation rows ${loss} at step ${step}.`,
    readout: (step, loss) => `step ${step}: ${loss}`,
    step: "step",
  },

  board: {
    title: "Quest board",
    inbox: "Inbox",
    high: "High",
    normal: "Normal",
    low: "Low",
    processing: "In battle",
    awaiting_seal: "Awaiting seal",
    completed: "Completed",
    failed: "Failed",
  },

  vault: {
    title: "Newest checkpoint",
    none: "No checkpoint yet.",
    count: (count, one) => `${count} ${one ? "checkpoint" : "checkpoints"} kept`,
    step: "Step",
    loss: "Training loss",
    size: "Size",
    saved: "Saved",
  },

  log: {
    title: "Battle log",
    none: "Nothing has happened yet.",
  },

  controls: {
    label: "Control of the battle",
    pause: "Pause",
    resume: "Resume",
    save: "Save now",
    skip: "Skip quest",
    stop: "Stop",
    explain: {
      pause: "Finish the step and wait; the model stays loaded",
      resume: "Go on where training was paused or stopped",
      save: "Write a checkpoint at the next step",
      skip: "Give up the rest of this quest and take the next",
      stop: "Write a checkpoint and end the trainer; this page stays",
    },
    asked: (action) => `${action}: asked for.`,
    failed: (reason) => `That did not work: ${reason}`,
  },

  confirm: {
    cancel: "Keep fighting",
    title: (quest) => `Skip ${quest}?`,
    text: (done, total) =>
      `${done} of ${total} rows are learned and stay learned. The quest moves to queue/failed/ as skipped; ` +
      "retried later, it starts from its first row.",
    yes: "Skip it",
  },
};
