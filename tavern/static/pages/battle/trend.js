// Whether the loss falls or rises, from the newest steps that the realm tells of.

import * as format from "../../format.js";

const FEWEST = 10;
const STEADY = 0.02;

// `{name, change, steps}` of [[step, loss], …]: "falling", "steady" or "rising", by how much the mean of the newer half
// differs from that of the older, and over how many steps; null where there are too few.
export function trendOf(points) {
  const losses = (points ?? []).filter(([, loss]) => format.known(loss));
  const half = Math.floor(losses.length / 2);
  if (half < FEWEST) return null;
  const before = mean(losses.slice(-2 * half, -half));
  if (!(before > 0)) return null;
  const change = mean(losses.slice(-half)) / before - 1;
  const name = change < -STEADY ? "falling" : change > STEADY ? "rising" : "steady";
  return { name, change, steps: 2 * half };
}

function mean(points) {
  return points.reduce((sum, [, loss]) => sum + loss, 0) / points.length;
}
