// Every page: its name, its path (`:name` stands for one part), and where it stands in the navigation. `pages/NAME/page.js`
// shows it, and exports `Page({parameters})`. `within` names the page that the navigation shows in its place. The server knows the same paths: tavern/pages.py.

export const pages = [
  { name: "battle", path: "/", also: ["/game", "/game.html"], icon: "sword" },
  { name: "quests", path: "/quests", also: ["/quests/:quest"], icon: "scroll" },
  { name: "guild", path: "/guild", icon: "shield" },
  { name: "skill", path: "/skill/:id", within: "guild" },
  { name: "vault", path: "/vault", icon: "chest" },
  { name: "ledger", path: "/ledger", icon: "book" },
  { name: "checkpoint", path: "/checkpoint/:step", within: "ledger" },
  { name: "achievements", path: "/achievements", icon: "trophy" },
  { name: "log", path: "/battle-log", icon: "quill" },
  { name: "armory", path: "/settings", also: ["/armory"], icon: "anvil" },
];

// Those that the navigation names, in its order.
export const destinations = pages.filter(({ icon }) => icon !== undefined);
