// Every page: its path (`:name` stands for one part), where it stands in the navigation, and the module that shows it,
// which exports `Page({parameters})`. `within` names the page that the navigation shows in its place. The server knows the same paths: tavern/pages.py.

export const pages = [
  { name: "battle", path: "/", also: ["/game", "/game.html"], icon: "sword", load: () => import("./pages/battle/page.js") },
  { name: "quests", path: "/quests", also: ["/quests/:quest"], icon: "scroll", load: () => import("./pages/quests/page.js") },
  { name: "guild", path: "/guild", icon: "shield", load: () => import("./pages/guild/page.js") },
  { name: "skill", path: "/skill/:id", within: "guild", load: () => import("./pages/skill/page.js") },
  { name: "vault", path: "/vault", icon: "chest", load: () => import("./pages/vault/page.js") },
  { name: "ledger", path: "/ledger", icon: "book", load: () => import("./pages/ledger/page.js") },
  { name: "checkpoint", path: "/checkpoint/:step", within: "ledger", load: () => import("./pages/checkpoint/page.js") },
  { name: "achievements", path: "/achievements", icon: "trophy", load: () => import("./pages/achievements/page.js") },
  { name: "log", path: "/battle-log", icon: "quill", load: () => import("./pages/log/page.js") },
  { name: "armory", path: "/settings", also: ["/armory"], icon: "anvil", load: () => import("./pages/armory/page.js") },
];

// Those that the navigation names, in its order.
export const destinations = pages.filter(({ icon }) => icon !== undefined);
