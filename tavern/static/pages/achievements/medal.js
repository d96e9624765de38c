// The medals, drawn: a ribbon in the colour of the category, a rim, and an emblem for what it is of.

import { html } from "../../preact.js";

// 24 by 24, in lines.
const EMBLEMS = {
  quests: "M6 3v18M6 4h12l-3 4 3 4H6",
  steps: "M9 3c2.2 0 3 2.5 2.5 5.5-.3 2-1 2.5-2.5 2.5s-2.5-.8-2.7-3C6 5 7 3 9 3zM7 13.5h4v1.5a2 2 0 0 1-4 0zM16 8c1.8 0 2.7 2 2.4 4.8-.3 1.7-.9 2.2-2.4 2.2s-2.3-.7-2.5-2.6C13.3 9.7 14.2 8 16 8zM14.2 17.5h3.6v1.3a1.8 1.8 0 0 1-3.6 0z",
  rows: "M4 21V9l2-1V5h2v2h2V5h4v2h2V5h2v3l2 1v12h-6v-4a2 2 0 0 0-4 0v4z",
  tokens: "M3 9h10a2.5 2.5 0 1 0-2.5-2.5M3 13h15a2.5 2.5 0 1 1-2.5 2.5M3 17h7a2 2 0 1 1-2 2",
  days: "M7 3h10M7 21h10M8 3v3c0 3 4 4 4 6s-4 3-4 6v3M16 3v3c0 3-4 4-4 6s4 3 4 6v3",
  sharp_blade: "M20 3l-9.5 9.5M20 3h-4L7.5 11.5l5 5L21 8V3zM5 14l5 5M7.5 16.5L3.5 20.5M4 4v3M2.5 5.5h3",
  defeats: "M12 6c-2-1.5-5-2-8-1.5V18c3-.5 6 0 8 1.5 2-1.5 5-2 8-1.5V4.5c-3-.5-6 0-8 1.5zM12 6v13.5M7 9.5l2 2M9 9.5l-2 2M15 11l1 1 2-2.5",
  first_checkpoint: "M4 10V8a4 4 0 0 1 4-4h8a4 4 0 0 1 4 4v2M3 10h18v10H3V10zM3 14h7M14 14h7M10 12.5h4v3.5h-4z",
  risen: "M12 4v3M5 7l2 2M19 7l-2 2M3 14h3M18 14h3M7 17a5 5 0 0 1 10 0M3 17h18M8 20.5h8",
  healed: "M12 20C6 16 3 12.5 3 9a4.5 4.5 0 0 1 9-1 4.5 4.5 0 0 1 9 1c0 3.5-3 7-9 11zM12 9.5v5M9.5 12h5",
  storm: "M7 14a4 4 0 0 1 .5-8A5 5 0 0 1 17 7a3.5 3.5 0 0 1 .5 7M13 10l-3 5h4l-3 6",
  gate: "M4 21V10a8 8 0 0 1 16 0v11M4 21h16M8 5v16M12 2.5V21M16 5v16M4 11h16M4 16h16",
  rewound: "M4 12a8 8 0 1 0 3-6.2M7 2v4h4M12 8v4l3 2",
  caravan: "M3 6h12v9H3zM15 9h4l2 3v3h-6M7 18.5a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6zM17.5 18.5a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6zM3 6c3-3 9-3 12 0",
  examination: "M20 3c-7 0-12 4-13 11l-3 7M7 14c6 1 11-2 12-7M4 21h9",
  level: "M12 20V5M5 12l7-7 7 7",
  summit: "M2 20l7-13 3 5 2-3 8 11zM9 7V3l4 1.5L9 6",
  flawless: "M6 4h12l4 6-10 11L2 10zM2 10h20M9 4l-2 6 5 11 5-11-2-6",
  kept: "M12 3l8 3v6c0 4.5-3.2 7.6-8 9-4.8-1.4-8-4.5-8-9V6zM8.5 12l2.5 2.5 4.5-5",
  remembered: "M9 18h6M10 21h4M8 15c-2-1.5-3-3.3-3-5.5a7 7 0 0 1 14 0c0 2.2-1 4-3 5.5zM9.5 10l2.5 2.5L14.5 9",
  skill: "M12 3l2.7 5.7 6.3.8-4.6 4.3 1.2 6.2L12 17l-5.6 3 1.2-6.2L3 9.5l6.3-.8z",
};

export function Medal({ emblem, category, label, goal, isEarned }) {
  return html`
    <svg class="medal" viewBox="0 0 72 88" data-category=${category} data-earned=${String(isEarned)} aria-hidden="true">
      <path class="ribbon" d="M18 50l-8 34 13-6 8 8 7-32zM54 50l8 34-13-6-8 8-7-32z" />
      <path class="rim" d=${RIM} />
      <circle class="face" cx="36" cy="36" r="25" />
      <circle class="ring" cx="36" cy="36" r="25" />
      <g class="emblem" transform="translate(20.4 ${label || goal ? 16 : 20.4}) scale(1.3)"><path d=${EMBLEMS[emblem] ?? EMBLEMS.skill} /></g>
      ${(label ?? goal) !== null && html`<text x="36" y="56" text-anchor="middle">${label ?? short(goal)}</text>`}
      ${!isEarned && html`<g class="lock" transform="translate(50 47)"><circle cx="10" cy="12" r="10" /><path d="M5 11h10v7H5zM7 11V8.5a3 3 0 0 1 6 0V11" /></g>`}
    </svg>
  `;
}

// Sixteen teeth around the face.
const RIM = Array.from({ length: 32 }, (_, index) => {
  const radius = index % 2 ? 29.5 : 33;
  const angle = (Math.PI * index) / 16;
  return `${index ? "L" : "M"}${(36 + radius * Math.sin(angle)).toFixed(2)} ${(36 - radius * Math.cos(angle)).toFixed(2)}`;
}).join("") + "Z";

function short(goal) {
  return goal >= 1_000_000 ? `${goal / 1_000_000}M` : goal >= 1000 ? `${goal / 1000}k` : String(goal);
}
