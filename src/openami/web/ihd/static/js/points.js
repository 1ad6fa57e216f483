// The last 48 hours in five-second points: 24 to draw, the 24 before as the quiet line.

import { ask, now, onLive, onOpened, watch } from "./api.js";
import { learn } from "./usual.js";

export const DAY_S = 86_400;
const HELD_S = 3600; // how long at most
const AGAIN_MS = 300_000; // the display knows better than the page's own count of what was pushed

export const points = { step: 5, start: 0, w: [], filled: [] };
const watchers = [];
export const onPoints = (watcher) => { watchers.push(watcher); };
const tell = () => { for (const watcher of watchers) watcher(points); };

export const end = () => Math.floor(now() / 1e3 / points.step) * points.step;

let busy = false;
export const reload = async () => {
  if (busy) return;
  busy = true;
  try {
    const to = end() + points.step;
    const iso = (seconds) => new Date(seconds * 1e3).toISOString();
    const { said } = await ask(`points?from=${iso(to - 2 * DAY_S)}&to=${iso(to)}`);
    Object.assign(points, { step: said.step_s, start: said.start, w: said.w, filled: said.filled });
    learn(window24().w);
    tell();
  } catch {
    // What stands on the page stays; the banner says that the link is gone.
  } finally {
    busy = false;
  }
};

// Points of 24 hours that end `back` seconds before now: one a step, null where nothing is known.
export const window24 = (back = 0) => {
  const count = DAY_S / points.step;
  const first = end() - DAY_S + points.step;
  const from = Math.round((first - back - points.start) / points.step);
  const w = new Array(count);
  const time = new Array(count);
  for (let at = 0; at < count; at += 1) {
    time[at] = first + at * points.step;
    w[at] = points.w[from + at] ?? null;
  }
  return { time, w };
};

// What is pushed goes into its five seconds as a mean, until the display is asked again. Between
// two pushes of one link power counts as the same, as it does in the display.
const NONE = { at: 0, sum: 0, count: 0 };
let slot = { ...NONE };
const add = (live) => {
  const at = Math.floor(Date.parse(live.at) / 1e3 / points.step) * points.step;
  const place = Math.round((at - points.start) / points.step);
  if (!points.start || place < 0 || place > points.w.length + DAY_S / points.step) return;
  if (slot.at !== at) {
    const held = slot.count && at > slot.at && at - slot.at <= HELD_S ? slot.sum / slot.count : null;
    const last = Math.round((slot.at - points.start) / points.step);
    while (points.w.length < place) points.w.push(null);
    for (let between = Math.max(0, last + 1); between < place && slot.count; between += 1) points.w[between] ??= held;
    slot = { ...NONE, at };
  }
  slot.sum += live.active_w;
  slot.count += 1;
  points.w[place] = slot.sum / slot.count;
};

export const startPoints = () => {
  watch(({ state, gone }) => {
    if (gone || state?.link.state !== "connected") slot = { ...NONE };
  });
  onLive(add);
  // What was not heard here the display has heard: a tablet that slept holds no power of an hour ago.
  onOpened(() => {
    slot = { ...NONE };
    reload();
  });
  setInterval(tell, points.step * 1e3);
  setInterval(reload, AGAIN_MS);
};
