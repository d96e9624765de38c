// What the machine is busy with. What cannot be told is a dash, and a hatched bar.

import { html } from "../../preact.js";
import * as format from "../../format.js";
import { useRealm } from "../../link/realm.js";
import { Card, Meter } from "../../parts/panels.js";
import { texts } from "../../texts.js";

const words = texts.machine;

export function MachineCard() {
  const machine = useRealm(({ snapshot }) => snapshot?.machine ?? null);
  const gpu = useRealm(({ snapshot }) => snapshot?.gpu ?? null);
  if (machine === null) return null;
  const { cpu_percent: cpu, cores, ram_used_gb: ram, ram_total_gb: allRam, disk_free_gb: free, disk_total_gb: disk } = machine;
  const hasGpu = machine.gpus > 0;
  const without = machine.gpus === 0 ? words.noGpu : texts.unknown;
  return html`
    <${Card} id="machine" title=${words.title} className="machine" aside=${html`<p class="quiet"><bdi>${gpu?.name ?? ""}</bdi></p>`}>
      <div class="loads">
        <${Load} id="cpu" value=${cpu} most=${100} text=${words.cores(percent(cpu), format.count(cores))} />
        <${Load} id="ram" value=${ram} most=${allRam} text=${words.of(format.gigabytes(ram), format.gigabytes(allRam))} />
        <${Load}
          id="gpu"
          value=${gpu?.utilization_pct}
          most=${100}
          hasBar=${machine.gpus !== 0}
          text=${hasGpu ? words.heat(percent(gpu.utilization_pct), format.count(gpu.temperature_c)) : without}
        />
        ${
          hasGpu &&
          html`<${Load}
            id="vram"
            value=${gpu.vram_used_gb}
            most=${gpu.vram_total_gb}
            text=${words.of(format.gigabytes(gpu.vram_used_gb), format.gigabytes(gpu.vram_total_gb))}
          />`
        }
        <${Load} id="disk" value=${machine.disk_used_gb} most=${disk} text=${words.free(format.gigabytes(free), format.gigabytes(disk))} />
      </div>
      <p class="quiet">${words.own(format.gigabytes(machine.realm_ram_gb), format.gigabytes(machine.trainer_ram_gb))}</p>
    <//>
  `;
}

function Load({ id, value, most, text, hasBar = true }) {
  return html`
    <div class="load">
      <span class="load-name">${words[id]}</span>
      <span class="load-text" id="machine-${id}">${text}</span>
      ${hasBar && html`<${Meter} id="${id}-bar" className="load-bar" value=${value} most=${most} label=${words[id]} text=${text} />`}
    </div>
  `;
}

function percent(value) {
  return format.known(value) ? words.percent(format.count(value)) : texts.unknown;
}
