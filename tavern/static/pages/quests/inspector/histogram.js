// How long the rows of a file are: a bar for each range of lengths, those behind the cut in another colour.

import { html } from "../../../preact.js";
import * as format from "../../../format.js";
import { texts } from "../../../texts.js";

const words = texts.quests.numbers;

export function Histogram({ histogram: { max_length: most, width, bars } }) {
  const highest = Math.max(...bars, 1);
  return html`
    <figure class="histogram">
      <ol class="bars" aria-label=${words.histogram(format.count(most))}>
        ${bars.map((rows, index) => {
          const told = words.bar(format.count(index * width + 1), format.count((index + 1) * width), format.count(rows));
          return html`<li key=${index} data-lost=${index * width >= most} title=${told}>
            <i style=${{ blockSize: `${(100 * rows) / highest}%` }}></i><span class="for-readers">${told}</span>
          </li>`;
        })}
      </ol>
      <figcaption class="quiet"><span>1</span><span>${words.histogram(format.count(most))}</span><span>${words.axis(format.count(bars.length * width))}</span></figcaption>
    </figure>
  `;
}
