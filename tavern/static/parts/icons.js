// Small line drawings, 24 by 24, in the colour of the text around them.

import { html } from "../preact.js";

const PATHS = {
  // places
  sword: "M20 3l-9.5 9.5M20 3h-4L7.5 11.5l5 5L21 8V3zM5 14l5 5M7.5 16.5L3.5 20.5",
  scroll: "M7 4h11a2 2 0 0 1 2 2v2h-4M7 4a2 2 0 0 0-2 2v11a3 3 0 0 1-3-1.5M7 4a2 2 0 0 1 2 2M16 8v9a3 3 0 0 1-3 3H5a3 3 0 0 1-3-3v-.5h9V17M8 9h5M8 12.5h5",
  shield: "M12 3l8 3v6c0 4.5-3.2 7.6-8 9-4.8-1.4-8-4.5-8-9V6l8-3zM12 7v10M8 11h8",
  chest: "M4 10V8a4 4 0 0 1 4-4h8a4 4 0 0 1 4 4v2M3 10h18v10H3V10zM3 14h7M14 14h7M10 12.5h4v3.5h-4z",
  book: "M4 5a2 2 0 0 1 2-2h14v15H6a2 2 0 0 0-2 2V5zM4 20a2 2 0 0 0 2 1h14v-3M9 7h7M9 11h7",
  quill: "M20 3c-7 0-12 4-13 11l-3 7M7 14c6 1 11-2 12-7M4 21h9",
  trophy: "M8 4h8v6a4 4 0 0 1-8 0V4zM8 6H4v1a4 4 0 0 0 4 4M16 6h4v1a4 4 0 0 1-4 4M12 14v4M8 21h8M9.5 21v-2a2.5 2.5 0 0 1 5 0v2",
  anvil: "M3 8h18v2a5 5 0 0 1-5 4h-1v3l3 3H7l3-3v-3.5C6 13.5 3 11.500 3 8z",
  more: "M4 12a1 1 0 1 0 2 0 1 1 0 0 0-2 0zM11 12a1 1 0 1 0 2 0 1 1 0 0 0-2 0zM18 12a1 1 0 1 0 2 0 1 1 0 0 0-2 0z",
  // control
  pause: "M8 5v14M16 5v14",
  resume: "M7 4l13 8-13 8V4z",
  save: "M4 4h13l3 3v13H4V4zM8 4v5h7V4M7 20v-7h10v7",
  skip: "M5 5l9 7-9 7V5zM18 5v14",
  stop: "M6 6h12v12H6z",
  sound: "M4 9.500v5h3.500L12 18.500v-13L7.500 9.500H4zM15.500 9a4 4 0 0 1 0 6M18 6.500a7.500 7.500 0 0 1 0 11",
  silence: "M4 9.500v5h3.500L12 18.500v-13L7.500 9.500H4zM16 9.500l5 5M21 9.500l-5 5",
  // notices
  answer: "M4 12.500l5 5L20 6.500",
  quest: "M6 3v18M6 4h12l-3 4 3 4H6",
  level: "M12 20V5M5 12l7-7 7 7",
  trouble: "M12 4l9 16H3L12 4zM12 10v5M12 17.500h.01",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3.500 2",
  lock: "M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 7 0v3",
  // quests
  raise: "M12 19V6M6 12l6-6 6 6M5 3h14",
  lower: "M12 5v13M6 12l6 6 6-6M5 21h14",
  add: "M12 5v14M5 12h14",
  close: "M6 6l12 12M18 6L6 18",
};

// `name` is a key of PATHS; whoever reads aloud hears the words beside it instead.
export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
}
