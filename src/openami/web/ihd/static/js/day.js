// The graph of the last 24 hours. Gaps are hatched, what the meter filled in later is marked.

import { watch, world } from "./api.js";
import { $, el, say, show } from "./dom.js";
import { getZone, number, powerText, time } from "./format.js";
import { DAY_S, end, onPoints, points, reload, window24 } from "./points.js";
import { t } from "./texts.js";
import { usual } from "./usual.js";

const MISSING_MS = 20_000;
const HOUR_S = 3600;
const GAP_S = 30; // a shorter silence is drawn over
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

let plot = null;
let span = DAY_S; // seconds that are drawn
let shape = "";
let gaps = [];

// Runs of nothing between the first point that is known and now.
const holes = (time_, w) => {
  const found = [];
  let from = null;
  let begun = false;
  w.forEach((value, at) => {
    if (value != null) {
      if (from != null && time_[at] - from > GAP_S) found.push([from, time_[at]]);
      from = null;
      begun = true;
    } else if (begun && from == null) from = time_[at];
  });
  // The end is one only where nothing comes: else the next push is on its way.
  const silent = world.gone || world.state?.link.state !== "connected";
  if (silent && from != null && time_.at(-1) - from > GAP_S) found.push([from, time_.at(-1)]);
  return found;
};

const hatch = (ink) => {
  const tile = document.createElement("canvas");
  const size = 8 * devicePixelRatio;
  tile.width = tile.height = size;
  const pen = tile.getContext("2d");
  pen.strokeStyle = ink;
  pen.lineWidth = devicePixelRatio;
  pen.beginPath();
  for (const shift of [-size, 0, size]) {
    pen.moveTo(shift, size);
    pen.lineTo(shift + size, 0);
  }
  pen.stroke();
  return tile;
};

const bands = (u) => {
  const pen = u.ctx;
  const reach = ([from, to]) => {
    const left = Math.max(u.bbox.left, u.valToPos(from, "x", true));
    const right = Math.min(u.bbox.left + u.bbox.width, u.valToPos(to, "x", true));
    return [left, right - left];
  };
  const fill = (ranges, style, top, height) => {
    pen.fillStyle = style;
    for (const range of ranges) {
      const [left, width] = reach(range);
      if (width > 0) pen.fillRect(left, top, width, height);
    }
  };
  const { top, height } = u.bbox;
  pen.save();
  fill(gaps, pen.createPattern(hatch(color("--hatch")), "repeat"), top, height);
  fill(points.filled, color("--filled"), top, height);
  fill(points.filled, color("--filled-edge"), top + height - 3 * devicePixelRatio, 3 * devicePixelRatio);
  const events = (world.state?.events ?? []).filter(({ state }) => state !== "cancelled");
  const times = events.map(({ begins, ends }) => [Date.parse(begins) / 1e3, Date.parse(ends) / 1e3]);
  fill(times, color("--event-band"), top, height);
  pen.restore();
};

// The colours of the ring, by the same bounds; alpha is two hexadecimal digits.
const ink = (alpha) => (u) => {
  const { top, height } = u.bbox;
  const bounds = usual();
  if (!bounds || !Number.isFinite(top + height) || !height) return color("--usual") + alpha;
  const gradient = u.ctx.createLinearGradient(0, top + height, 0, top);
  const stop = (watts, name, shift) => {
    const share = (top + height - u.valToPos(watts, "y", true)) / height;
    gradient.addColorStop(Math.min(1, Math.max(0, share + shift)), color(name) + alpha);
  };
  stop(0, "--export", -0.001);
  stop(0, "--low", 0);
  stop(bounds.low, "--low", 0);
  stop(bounds.low, "--usual", 0.06);
  stop(bounds.high, "--usual", 0);
  stop(bounds.high, "--high", 0.08);
  return gradient;
};

const rem = (count) => count * parseFloat(getComputedStyle(document.documentElement).fontSize);
const kilowatts = (splits) => splits.map((watts, at) =>
  `${number(watts / 1e3, 1, 0)}${at === splits.length - 1 ? " kW" : ""}`);
const STEPS_W = [100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000];
const STEPS_S = [300, 600, 900, 3600, 7200, 10_800, 14_400, 21_600];

const axis = (extra) => ({
  stroke: color("--soft"), font: `${Math.max(12, rem(0.9375))}px Pretendard, sans-serif`,
  grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, ...extra,
});

const build = (box) => {
  plot?.destroy();
  box.replaceChildren();
  const small = box.clientHeight < 170;
  plot = new uPlot({
    width: box.clientWidth, height: box.clientHeight, padding: [10, 14, 0, 0],
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), getZone()),
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, y: false, points: { show: false } },
    scales: {
      x: { range: () => [end() - span, end() + span / 288] },
      y: { range: (_u, low, high) => [Math.min(0, (low ?? 0) * 1.15), Math.max(500, (high ?? 0) * 1.12)] },
    },
    axes: [
      axis({ space: 70, size: rem(1.8), gap: 4, values: (_u, splits) => splits.map((at) => time(at * 1e3)), incrs: STEPS_S }),
      axis({ size: rem(3.9), gap: 6, space: small ? 28 : 44, incrs: STEPS_W, values: (_u, splits) => kilowatts(splits) }),
    ],
    series: [
      {},
      { stroke: color("--before"), width: 1.5, points: { show: false }, spanGaps: false },
      { stroke: ink("ff"), fill: ink("38"), width: 2, points: { show: false }, spanGaps: false },
    ],
    hooks: { drawClear: [bands], setCursor: [readout] },
  }, [[], [], []], box);
};

const readout = (u) => {
  const at = u.cursor.idx;
  const watts = at == null ? null : u.data[2][at];
  say($("day-title"), watts == null ? t(span === DAY_S ? "day.title" : "day.hour") : `${time(u.data[0][at] * 1e3)}  ${powerText(watts)}`);
};

const words = ({ time: when, w }) => {
  const known = w.map((value, at) => [value, when[at]]).filter(([value]) => value != null);
  if (!known.length) return t("day.gap");
  const top = known.reduce((best, one) => (one[0] > best[0] ? one : best));
  const mean = known.reduce((sum, [value]) => sum + value, 0) / known.length;
  return t("day.words", { high: powerText(top[0]), time: time(top[1] * 1e3), mean: powerText(mean) });
};

// The same by hours, for who reads a table rather than a curve.
const sheet = (today, before) => {
  const hours = new Map();
  today.time.forEach((at, place) => {
    const hour = Math.floor(at / 3600) * 3600;
    if (!hours.has(hour)) hours.set(hour, [[], []]);
    if (today.w[place] != null) hours.get(hour)[0].push(today.w[place]);
    if (before.w[place] != null) hours.get(hour)[1].push(before.w[place]);
  });
  const mean = (values) => powerText(values.length ? values.reduce((a, b) => a + b) / values.length : null);
  const head = ["table.hour", "table.mean", "table.before"].map((key) => el("th", { scope: "col" }, t(key)));
  const rows = [...hours].reverse().map(([hour, [now_, then]]) =>
    el("tr", {}, el("th", { scope: "row" }, time(hour * 1e3)), el("td", {}, mean(now_)), el("td", {}, mean(then))));
  return el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows));
};

const paint = () => {
  const box = $("day-plot");
  const today = window24();
  const before = window24(DAY_S);
  gaps = holes(today.time, today.w);
  show($("key-gap"), gaps.length > 0);
  show($("key-filled"), points.filled.some(([, to]) => to > end() - DAY_S));
  box.dataset.points = today.w.filter((value) => value != null).length;
  box.dataset.gaps = gaps.length;
  box.setAttribute("aria-label", words(today));
  if (!$("day-sheet").hidden) $("day-sheet").replaceChildren(sheet(today, before));
  if (!box.clientWidth || box.clientHeight < 40) return;
  const wanted = `${box.clientWidth} ${box.clientHeight} ${color("--paper")} ${document.documentElement.lang} ${getZone()}`;
  if (wanted !== shape) build(box);
  shape = wanted;
  const first = today.time.findIndex((at) => at >= today.time.at(-1) - span);
  plot.setData([today.time, before.w, today.w].map((values) => values.slice(first)));
  if (plot.cursor.idx == null) readout(plot);
};

const zoom = () => {
  span = span === DAY_S ? HOUR_S : DAY_S;
  $("day-zoom").setAttribute("aria-pressed", String(span === HOUR_S));
  shape = "";
  paint();
  readout(plot);
};

const toggle = () => {
  const asTable = $("day-sheet").hidden;
  show($("day-sheet"), asTable);
  show($("day-plot"), !asTable);
  $("day-switch").setAttribute("aria-pressed", String(asTable));
  paint();
};

// The points are asked for anew when the link comes or goes, when the meter has filled something
// in, and now and then as long as something is missing.
const outdated = () => {
  let link = "";
  let left = 0;
  return ({ link: { state }, serial, gaps: missing }) => {
    const key = `${serial} ${state}`;
    const news = state !== "unpaired" && (key !== link || missing.left_s < left);
    [link, left] = [key, missing.left_s];
    return news;
  };
};

export const startDay = () => {
  const isOutdated = outdated();
  onPoints(paint);
  watch(({ state }) => {
    if (state && isOutdated(state)) reload();
    paint();
  });
  setInterval(() => { if (gaps.length) reload(); }, MISSING_MS);
  new ResizeObserver(paint).observe($("day-plot"));
  $("day-switch").addEventListener("click", toggle);
  $("day-zoom").addEventListener("click", zoom);
};
