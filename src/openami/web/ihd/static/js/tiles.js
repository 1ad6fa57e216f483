// Money, today and this month: each one figure, and what to hold it against.

import { watch, world } from "./api.js";
import { $, el, renew, say, show } from "./dom.js";
import { dayShort, differs, energy, kwh, money, number } from "./format.js";
import { t } from "./texts.js";

// Why a kWh costs what it does: the periods of the tariffs that are shipped, and of none.
const REASONS = {
  peak: "price.peak", "on-peak": "price.peak", mid: "price.mid", "mid-peak": "price.mid", "off-peak": "price.off", flat: "price.flat",
};

// Figures larger than their unit.
const figure = (node, text, unit) => {
  if (node.dataset.shown === text + unit) return;
  node.dataset.shown = text + unit;
  node.style.setProperty("--chars", String(text.length + unit.length * 0.6));
  node.replaceChildren(text, unit ? el("span", { class: "unit" }, `\u202f${unit}`) : "");
};

const ofEvent = (said) => (world.state.events ?? []).some(({ id }) => id === said);

const reason = (said) => {
  const step = /^step (\d+)$/.exec(said ?? "");
  if (step) return t("price.step", { step: step[1] });
  if (said in REASONS) return t(REASONS[said]);
  return ofEvent(said) ? t("price.event") : said ?? "";
};

export const perKwh = (price, currency) => t("price.per", { price: money(price, currency, 1) });

const price = (bill) => {
  const now = bill?.price_now;
  show($("price"), Boolean(now));
  if (!now) return;
  say($("price-value"), perKwh(now.per_kwh, bill.currency));
  say($("price-reason"), reason(now.reason));
  $("price").classList.toggle("dear", REASONS[now.reason] === "price.peak" || ofEvent(now.reason));
};

const steps = (bill) => {
  const step = bill.step;
  show($("steps"), Boolean(step));
  say($("steps-words"), "");
  if (!step) return;
  const used = Number(step.used_kwh);
  const until = step.until_kwh == null ? null : Number(step.until_kwh);
  const from = Number(step.from_kwh ?? 0);
  const part = (index) => {
    if (index < step.index) return 1;
    if (index > step.index) return 0;
    return until == null ? 1 : Math.min(1, Math.max(0.02, (used - from) / (until - from)));
  };
  const bar = (index) => {
    const node = el("i", { class: `step step-${index}`, "aria-hidden": "true" }, el("b"));
    node.firstChild.style.width = `${part(index) * 100}%`;
    return node;
  };
  $("steps").replaceChildren(...Array.from({ length: step.of }, (_, at) => bar(at + 1)));
  const left = until == null ? "" : number(Math.max(0, until - used), 0);
  say($("steps-words"), until == null
    ? t("bill.highest", { index: step.index, of: step.of })
    : t("bill.step", { index: step.index, of: step.of, left }));
};

const bill = (found) => {
  const tile = $("bill").closest(".card");
  tile.classList.toggle("empty", !found);
  if (!found) {
    figure($("bill"), "–", "");
    return;
  }
  figure($("bill"), money(found.so_far, found.currency), "");
  const estimate = found.estimate;
  const ends = (amount) => money(amount, found.currency, found.currency === "KRW" ? 0 : undefined);
  renew($("estimate"), estimate && [
    el("b", {}, t("bill.expected", { likely: ends(estimate.likely) })), " ",
    el("span", { class: "soft range" }, t("bill.range", { low: ends(estimate.low), high: ends(estimate.high) })),
  ]);
  steps(found);
};

// A bar a line; what was used after the same time is paler.
const bars = (node, rows) => {
  show(node, rows.length > 1);
  const most = Math.max(...rows.map(([, value, whole]) => Math.max(value ?? 0, whole ?? 0)), 1);
  node.replaceChildren(...rows.map(([label, value, whole, kind]) => {
    const bar = el("i", { "aria-hidden": "true" }, el("b"), el("s"));
    bar.firstChild.style.width = `${(100 * (value ?? 0)) / most}%`;
    bar.lastChild.style.width = `${(100 * Math.max(0, (whole ?? 0) - (value ?? 0))) / most}%`;
    return el("p", { class: `bar is-${kind}` }, el("span", { class: "name" }, label),
      el("span", { class: "amount" }, kwh(whole || value || 0)), bar);
  }));
};

const compared = (now, before, keys) => {
  if (!before) return "";
  const how = differs(now, before);
  return how ? t(keys.more, { differs: how }) : t(keys.same);
};

const kg = (grams) => (grams == null ? "" : t("carbon", { kg: number(grams / 1e3, grams < 995 ? 2 : grams < 100_000 ? 1 : 0) }));
const line = (...words) => words.filter(Boolean).join(" · ");

const today = ({ energy: used, carbon }) => {
  figure($("today"), kwh(used.today_wh), "kWh");
  bars($("today-bars"), [
    [t("today.bar"), used.today_wh, null, "now"],
    ...(used.yesterday_total_wh ? [[t("today.before"), used.yesterday_wh, used.yesterday_total_wh, "before"]] : []),
  ]);
  say($("today-words"), compared(used.today_wh, used.yesterday_wh, { more: "today.compare", same: "today.same" }));
  const sent = used.today_exported_wh ? t("today.sent", { energy: energy(used.today_exported_wh) }) : "";
  say($("today-foot"), line(kg(carbon?.today_g), sent));
};

// The utility compares a stretch that is over, such as the last whole month.
const alike = ({ start, end, homes, mean_wh: mean, best_wh: best, own_wh: own }) => {
  const values = { from: dayShort(start), to: dayShort(Date.parse(end) - 1), homes, mean: energy(mean), best: energy(best) };
  return own == null ? t("month.homes", values) : t("month.homes.own", { ...values, own: energy(own) });
};

const month = ({ energy: used, carbon, comparison }) => {
  figure($("month"), kwh(used.month_wh), "kWh");
  const similar = comparison && comparison.mean_wh;
  bars($("month-bars"), [
    [t("month.bar"), used.month_wh, null, "now"],
    ...(used.last_month_total_wh ? [[t("month.before"), used.last_month_wh, used.last_month_total_wh, "before"]] : []),
    ...(similar ? [[t("month.similar"), similar, null, "others"]] : []),
  ]);
  const before = compared(used.month_wh, used.last_month_wh, { more: "month.compare", same: "month.same" });
  say($("month-words"), before);
  say($("month-foot"), kg(carbon?.month_g));
  say($("usage-similar"), similar ? alike(comparison) : "");
};

export const startTiles = () => watch(({ state }) => {
  if (!state?.energy) return;
  price(state.bill);
  bill(state.bill?.so_far == null && !state.bill?.step ? null : state.bill);
  today(state);
  month(state);
  say($("total"), energy(state.energy.total_wh, 1));
  show($("exported-box"), state.energy.exported_total_wh > 0);
  say($("exported"), energy(state.energy.exported_total_wh, 1));
});
