// Usage by hours, days and months: bars, a table and a file of the same.

import { ask, now, world } from "./api.js";
import { $, el, say, show, svg } from "./dom.js";
import * as format from "./format.js";
import { t } from "./texts.js";
import { roundUp } from "./usual.js";

let by = "hour";
let back = 0; // how many days, months or years ago
let answer = null;

// Where the time that is looked at begins and ends, and what it is called.
const STRETCH = {
  hour: () => {
    const today = format.parts(now());
    const noon = new Date(Date.UTC(today.year, today.month - 1, today.day - back, 12));
    const at = (days) => {
      const when = new Date(noon.getTime() + days * 86_400_000);
      return format.midnight(when.getUTCFullYear(), when.getUTCMonth() + 1, when.getUTCDate());
    };
    return { from: at(0), to: at(1), name: format.day(at(0)), label: format.time, every: 3 };
  },
  day: () => {
    const { year, month } = format.parts(now());
    const from = format.midnight(year, month - back);
    return { from, to: format.midnight(year, month - back + 1), name: format.monthYear(from), label: format.dayOfMonth, every: 5 };
  },
  month: () => {
    const { year } = format.parts(now());
    const from = format.midnight(year - back, 1);
    return { from, to: format.midnight(year - back + 1, 1), name: format.year(from), label: format.monthName, every: 1 };
  },
};

const currency = () => world.state?.bill?.currency ?? "KRW";

const HEIGHT = 300;
const WIDTH = 1000;
const LABEL_PX = 48; // what a time of day needs
const picture = (box, stretch) => {
  const { start, wh, exported_wh: sent } = answer;
  const wide = box.clientWidth || WIDTH;
  const high = Math.max(120, box.clientHeight || HEIGHT);
  const most = roundUp(Math.max(...wh.map((value) => value ?? 0), ...sent.map((value) => value ?? 0), 100));
  const floor = high - 30;
  const left = 72;
  const made = svg("svg", { viewBox: `0 0 ${wide} ${high}`, "aria-hidden": "true" });
  const words = (x, y, text, anchor) => {
    const node = svg("text", { x, y, "text-anchor": anchor });
    node.textContent = text;
    made.append(node);
  };
  for (const share of [0, 0.5, 1]) {
    const y = floor - share * (floor - 12);
    made.append(svg("line", { x1: left, x2: wide, y1: y, y2: y }));
    words(left - 10, y + 5, `${format.number((most * share) / 1e3, most < 2000 ? 2 : 1, 0)}${share === 1 ? " kWh" : ""}`, "end");
  }
  const slot = (wide - left) / Math.max(start.length, 1);
  const bar = (value, at, kind, shift, part) => {
    if (value == null || value <= 0) return;
    const height = Math.max(2, (value / most) * (floor - 12));
    const width = Math.min(52, slot * part);
    const x = left + at * slot + (slot - Math.min(52, slot * 0.7)) / 2 + shift * width;
    made.append(svg("rect", { x, y: floor - height, width, height, rx: Math.min(6, width / 3), class: kind }));
  };
  const both = sent.some((value) => value > 0);
  show($("usage-keys"), both);
  const every = stretch.every * Math.ceil(LABEL_PX / (slot * stretch.every));
  start.forEach((at, place) => {
    bar(wh[place], place, "used", 0, both ? 0.35 : 0.7);
    if (both) bar(sent[place], place, "sent", 1, 0.35);
    if (place % every === 0) words(left + (place + 0.5) * slot, high - 8, stretch.label(at * 1e3), "middle");
  });
  box.replaceChildren(made);
};

const table = (stretch) => {
  const { start, wh, exported_wh: sent, cost } = answer;
  const both = sent.some((value) => value > 0);
  const heads = ["table.time", "table.energy", both && "table.exported", cost && "table.cost"].filter(Boolean);
  const label = by === "day" ? format.dayShort : stretch.label;
  const rows = start.map((at, place) => el("tr", {},
    el("th", { scope: "row" }, label(at * 1e3)), el("td", {}, format.energy(wh[place], 2)),
    both && el("td", {}, format.energy(sent[place], 2)),
    cost && el("td", {}, format.money(cost[place], currency()))));
  return el("table", {}, el("thead", {}, el("tr", {}, heads.map((key) => el("th", { scope: "col" }, t(key))))), el("tbody", {}, rows));
};

const paint = () => {
  if (!answer || $("usage-plot").closest(".view").hidden) return;
  const stretch = STRETCH[by]();
  const sum = answer.wh.reduce((all, value) => all + (value ?? 0), 0);
  const cost = answer.cost?.every((value) => value != null) && answer.cost.length
    ? answer.cost.reduce((all, value) => all + Number(value), 0) : null;
  const known = answer.wh.some((value) => value != null);
  say($("usage-span"), stretch.name);
  say($("usage-sum"), known ? [format.energy(sum), cost && format.money(cost, currency())].filter(Boolean).join(" · ") : "");
  const box = $("usage-plot");
  box.setAttribute("aria-label", known ? t("usage.words", { span: stretch.name, sum: format.energy(sum) }) : t("usage.nothing"));
  if (known) picture(box, stretch);
  else show($("usage-keys"), false);
  if (!known) box.replaceChildren(el("p", { class: "nothing" }, t("usage.nothing")));
  if (!$("usage-sheet").hidden) $("usage-sheet").replaceChildren(table(stretch));
};

const fetchIt = async () => {
  const { from, to } = STRETCH[by]();
  const iso = (at) => new Date(at).toISOString();
  const query = `by=${by}&from=${iso(from)}&to=${iso(to)}`;
  $("usage-csv").href = `/api/v1/energy.csv?${query}`;
  $("usage-on").disabled = back === 0;
  try {
    answer = (await ask(`energy?${query}`)).said;
    answer.exported_wh ??= [];
  } catch {
    answer = { start: [], wh: [], exported_wh: [], cost: null };
  }
  paint();
};

const move = (to) => () => {
  back = Math.max(0, back + to);
  fetchIt();
};

export const startUsage = () => {
  for (const button of document.querySelectorAll("[data-by]")) {
    button.addEventListener("click", () => {
      by = button.dataset.by;
      back = 0;
      for (const one of document.querySelectorAll("[data-by]")) one.setAttribute("aria-pressed", String(one === button));
      fetchIt();
    });
  }
  $("usage-back").addEventListener("click", move(1));
  $("usage-on").addEventListener("click", move(-1));
  $("usage-switch").addEventListener("click", () => {
    const asTable = $("usage-sheet").hidden;
    show($("usage-sheet"), asTable);
    show($("usage-plot"), !asTable);
    $("usage-switch").setAttribute("aria-pressed", String(asTable));
    paint();
  });
  new ResizeObserver(paint).observe($("usage-plot"));
};

export const openUsage = fetchIt;
