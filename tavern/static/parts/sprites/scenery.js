// What stands about on the stage.

export const CAMPFIRE = [
  "................",
  "................",
  ".......f........",
  "......ff..f.....",
  "......fFf.......",
  ".....ffFff......",
  "....ffFFFff.....",
  "....fFFyFff.....",
  "....fFywyFf.....",
  "....ffywyff.....",
  ".....ffyff......",
  "..obboffffobbo..",
  ".obbbbboobbbbbo.",
  "..ooobbbbbbooo..",
  "..obbbboobbbbo..",
  "...oooo..oooo...",
];

export const TENT = [
  "...........oo...........",
  "..........oggo..........",
  "...........oo...........",
  "..........ouUo..........",
  ".........ouuUUo.........",
  "........ouuuUUUo........",
  ".......ouuueeUUUo.......",
  "......ouuuueeUUUUo......",
  ".....ouuuueeeeUUUUo.....",
  "....ouuuuueeeeUUUUUo....",
  "...ouuuuueeeeeeUUUUUo...",
  "..ouuuuuueeeeeeUUUUUUo..",
  ".ouuuuuueeeeeeeeUUUUUUo.",
  "ouuuuuuueeeeeeeeUUUUUUUo",
  "oooooooooooooooooooooooo",
];

// A checkpoint, while it is written.
export const CRYSTAL = [
  "....oo....",
  "...owao...",
  "..owaaAo..",
  "..owaaAo..",
  ".owaaaAAo.",
  ".owaaaAAo.",
  ".owaaAAAo.",
  ".oaaaAAAo.",
  "..oaaAAo..",
  "..oaAAAo..",
  "...oAAo...",
  "....oo....",
];

// The omens that are read while the loss on the validation rows is measured.
export const SCROLL = [
  ".oooooooooo.",
  "ouUuuuuuuUuo",
  "oUoooooooouo",
  ".ouuuuuuuuo.",
  ".ouUUUUuuuo.",
  ".ouuuuuuuuo.",
  ".ouUUUUUUuo.",
  ".ouuuuuuuuo.",
  ".ouUUUuuuuo.",
  "oUooooooooUo",
  "ouUuuuuuuUuo",
  ".oooooooooo.",
];

export const COIN = [
  "..oooo..",
  ".oyyyfo.",
  "oyywyyfo",
  "oywyyyfo",
  "oyyyyyfo",
  "oyyyyyfo",
  ".oyyffo.",
  "..oooo..",
];

export const CLOUD = [
  "........wwwww...........",
  "......wwwwwwwww.........",
  ".....wwwwwwwwwww.www....",
  "..wwwwwwwwwwwwwwwwwwww..",
  ".wwwwwwwwwwwwwwwwwwwwww.",
  "wwwwwwwwwwwwwwwwwwwwwwww",
  ".WWWWWWWWWWWWWWWWWWWWWW.",
];
