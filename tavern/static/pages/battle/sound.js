// Sounds, made on the spot. Off until somebody turns them on; that is remembered in this browser.

const KEY = "realm.sound";
const LOUDNESS = 0.12;

// [frequency, begins at, lasts] in hertz and seconds; a pair of frequencies glides.
const TONES = {
  blow: { wave: "triangle", notes: [[[190, 70], 0, 0.09]] },
  critical: { wave: "square", notes: [[[260, 520], 0, 0.08], [[780, 760], 0.07, 0.12]] },
  learned: { wave: "triangle", notes: [[523, 0, 0.12], [659, 0.12, 0.12], [784, 0.24, 0.28]] },
  gold: { wave: "sine", notes: [[988, 0, 0.07], [1319, 0.07, 0.22]] },
  level: { wave: "square", notes: [[392, 0, 0.1], [523, 0.1, 0.1], [659, 0.2, 0.1], [784, 0.3, 0.1], [1047, 0.4, 0.4]] },
  mastered: { wave: "triangle", notes: [[440, 0, 0.12], [554, 0.12, 0.12], [659, 0.24, 0.12], [880, 0.36, 0.4]] },
  wound: { wave: "sawtooth", notes: [[[220, 90], 0, 0.3]] },
  fall: { wave: "sawtooth", notes: [[[196, 185], 0, 0.25], [[147, 55], 0.25, 0.6]] },
};

let isOn = remembered();
let context = null;

export function soundIsOn() {
  return isOn;
}

export function turnSound(on) {
  isOn = on;
  try {
    localStorage.setItem(KEY, on ? "on" : "off");
  } catch {
    // a browser that keeps nothing: it is off again next time
  }
  if (on) play("gold");
  else context?.suspend();
}

// `name` is a key of TONES; anything else is silent.
export function play(name) {
  if (!isOn || document.hidden || !Object.hasOwn(TONES, name)) return;
  context ??= new AudioContext();
  // Before the first click or key on the page, browsers let nothing be heard; what is due then is left out.
  if (context.state === "suspended") {
    context.resume().catch(() => {});
    if (!navigator.userActivation?.hasBeenActive) return;
  }
  const { wave, notes } = TONES[name];
  for (const [frequency, begin, length] of notes) sound(wave, frequency, context.currentTime + begin, length);
}

function sound(wave, frequency, begin, length) {
  const [from, to] = Array.isArray(frequency) ? frequency : [frequency, frequency];
  const oscillator = new OscillatorNode(context, { type: wave, frequency: from });
  const volume = new GainNode(context, { gain: 0 });
  oscillator.frequency.setValueAtTime(from, begin);
  oscillator.frequency.exponentialRampToValueAtTime(to, begin + length);
  volume.gain.setValueAtTime(0, begin);
  volume.gain.linearRampToValueAtTime(wave === "square" || wave === "sawtooth" ? LOUDNESS / 2 : LOUDNESS, begin + 0.01);
  volume.gain.exponentialRampToValueAtTime(0.0001, begin + length);
  oscillator.connect(volume).connect(context.destination);
  oscillator.start(begin);
  oscillator.stop(begin + length);
}

function remembered() {
  try {
    return localStorage.getItem(KEY) === "on";
  } catch {
    return false;
  }
}
