// The one huge figure: power now, in a ring whose colour says how much that is for this home.

import { onLive, watch, world } from "./api.js";
import { $, say, show, svg } from "./dom.js";
import { number, power, powerText, time } from "./format.js";
import { t } from "./texts.js";
import { NOISE_W, roundUp, usual, verdict } from "./usual.js";

const RADIUS = 176;
const SWEEP = 270; // degrees, open at the bottom
const LEAST_W = 1000; // a scale below a kilowatt would make a lamp look like an oven

const WORDS = {
  export: "power.export", low: "power.low", usual: "power.usual", high: "power.high",
};

const point = (share, radius = RADIUS) => {
  const angle = ((225 - share * SWEEP) * Math.PI) / 180;
  return [200 + radius * Math.cos(angle), 200 - radius * Math.sin(angle)].map((x) => x.toFixed(2));
};
const arc = () => `M${point(0).join(" ")}A${RADIUS} ${RADIUS} 0 1 1 ${point(1).join(" ")}`;

const parts = {};
const draw = () => {
  parts.track = svg("path", { d: arc(), class: "track", pathLength: 100 });
  parts.value = svg("path", { d: arc(), class: "value", pathLength: 100 });
  parts.marks = svg("g", { class: "marks" });
  $("ring").replaceChildren(parts.track, parts.marks, parts.value);
};

const mark = (share, name) => {
  const [x1, y1] = point(share, RADIUS - 26);
  const [x2, y2] = point(share, RADIUS + 15);
  return svg("line", { x1, y1, x2, y2, class: name });
};
const words = (share, text) => {
  const [x, y] = point(share, RADIUS - 42);
  const node = svg("text", { x, y, class: "scale" });
  node.textContent = text;
  return node;
};

const scale = (live) => roundUp(Math.max(LEAST_W, usual()?.peak ?? 0, live.limit_w ?? 0, Math.abs(live.active_w)));

let drawnScale = "";
const marks = (full, limit) => {
  const key = `${full} ${limit} ${number(1.5, 1)}`;
  if (key === drawnScale) return;
  drawnScale = key;
  const scaleText = (share) => words(share, `${number((full * share) / 1e3, 2, 0)}${share === 1 ? " kW" : ""}`);
  const lines = [0.25, 0.5, 0.75].filter((share) => (full * share) % 500 === 0).map(scaleText);
  if (limit) lines.push(mark(Math.min(1, limit / full), "limit"));
  parts.marks.replaceChildren(...lines, scaleText(0), scaleText(1));
};

const electrics = (live) => {
  $("electrics").classList.toggle("phases", live.voltage_v.length > 1);
  const all = (values, digits) => values.map((value) => number(value, digits)).join(" · ");
  say($("voltage"), `${all(live.voltage_v, live.voltage_v.length > 1 ? 0 : 1)}\u202fV`);
  say($("current"), `${all(live.current_a, live.current_a.length > 1 ? 1 : 2)}\u202fA`);
  say($("factor"), number(live.power_factor, 2));
  const { value, unit } = power(live.apparent_va);
  say($("apparent"), `${value}\u202f${unit.replace("W", "VA")}`);
};

const stale = () => world.gone || world.state?.link.state !== "connected";

const judge = (live, found) => {
  if (stale()) return t("power.at", { time: time(live.at) });
  if (found === "over") return t("power.over", { limit: powerText(live.limit_w) });
  if (live.supply !== "connected") return t("power.off");
  return found ? t(WORDS[found]) : "";
};

const paint = (live) => {
  const dial = $("dial");
  dial.classList.toggle("stale", stale());
  if (!live) {
    say($("verdict"), t("power.none"));
    return;
  }
  const quiet = live.active_w < 0 && live.active_w >= -NOISE_W;
  const { value, unit } = power(quiet ? 0 : live.active_w);
  say($("power"), value);
  say($("power-unit"), unit);
  $("power").dataset.length = value.length > 4 ? "long" : "";
  const found = verdict(live.active_w, live.limit_w);
  dial.dataset.verdict = found;
  say($("verdict"), judge(live, found));
  const full = scale(live);
  marks(full, live.limit_w);
  const share = Math.min(1, Math.abs(live.active_w) / full);
  parts.value.style.strokeDasharray = `${(share * 100).toFixed(2)} 200`;
  show(parts.value, share > 0.001);
  electrics(live);
};

export const startDial = () => {
  draw();
  onLive(paint);
  watch(({ state }) => { drawnScale = ""; paint(state?.live); });
};
