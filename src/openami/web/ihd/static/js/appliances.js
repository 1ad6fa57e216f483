// The home's appliances: what each is to do and says of itself, whether it may be controlled, and the last word of the household.

import { ask, now, refresh, watch } from "./api.js";
import { $, el, renew, svg } from "./dom.js";
import { powerText, time } from "./format.js";
import { confirmed, press } from "./ask.js";
import { t } from "./texts.js";

const PICTURES = {
  "air-conditioner": "M3 6h18v7H3zM7 10h10M7 16c0 2-1.5 2-1.5 4M12 16v4M17 16c0 2 1.5 2 1.5 4",
  "water-heater": "M7 3h10v15H7zM10 18v3M14 18v3M12 7c2 2.5 2 4.5 0 6-2-1.5-2-3.5 0-6z",
  charger: "M5 21V4h8v17M3 21h12M13 11h2.5v6a1.5 1.5 0 0 0 3 0V9L16 6.500M9.500 7l-2 4h3l-2 4",
  other: "M9 3v5M15 3v5M6.500 8h11v3.500a5.500 5.500 0 0 1-11 0zM12 17v4",
};

const mode = (one) => {
  if (one.silent) return t("appliances.silent", { time: one.seen ? time(one.seen) : "–" });
  if (one.override) return t("appliances.overruled");
  if (one.prepare) return t("appliances.prepare");
  if (one.mode === "off") return t("appliances.off");
  if (one.mode === "normal") return t("appliances.normal");
  return one.limit_w == null ? t("appliances.reduce") : t("appliances.limit", { limit: powerText(one.limit_w) });
};

const picture = (kind) => {
  const made = svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" });
  made.append(svg("path", { d: PICTURES[kind] ?? PICTURES.other }));
  return made;
};

const OVERRULE_MS = 4 * 3_600_000; // long enough for an evening; then the display asks again

const change = (one, body) => async () => {
  await ask(`appliances/${encodeURIComponent(one.id)}`, { method: "PATCH", body });
  await refresh();
};

const remove = (one) => async () => {
  if (!(await confirmed(t("appliances.sure", { name: one.name })))) return;
  await ask(`appliances/${encodeURIComponent(one.id)}`, { method: "DELETE" });
  await refresh();
};

const overruling = (one) => {
  if (one.override) {
    return press(t("appliances.obey"), change(one, { override: null }), { "data-key": `obey ${one.id}` });
  }
  if (one.mode === "normal") return null;
  const until = new Date(now() + OVERRULE_MS).toISOString();
  return press(t("appliances.overrule"), change(one, { override: "normal", override_until: until }), { "data-key": `over ${one.id}` });
};

const row = (one) => {
  const allow = el("button", {
    class: "switch", role: "switch", "aria-checked": String(one.allow), "data-key": `allow ${one.id}`,
    "aria-label": `${one.name}: ${t("appliances.allow")}`,
  }, el("i"));
  allow.addEventListener("click", change(one, { allow: !one.allow }));
  const state = [mode(one), one.until && one.mode !== "normal" && !one.override ? t("appliances.until", { time: time(one.until) }) : ""];
  return el("li", { class: `appliance ${one.silent ? "silent" : one.override ? "normal" : one.mode}` },
    picture(one.kind),
    el("div", { class: "words" }, el("p", { class: "says" }, one.name), el("p", { class: "more" }, state.filter(Boolean).join(" ")),
      !one.silent && one.state && el("p", { class: "more own", dir: "auto" }, one.state)),
    el("p", { class: "draws" }, one.silent ? "–" : powerText(one.power_w)),
    el("div", { class: "buttons" }, overruling(one),
      el("span", { class: "toggle" }, el("span", { "aria-hidden": "true" }, t("appliances.allow")), allow),
      press("×", remove(one), { class: "round quiet-button", "aria-label": `${t("appliances.remove")}: ${one.name}`, "data-key": `remove ${one.id}` })));
};

export const startAppliances = () => watch(({ state }) => {
  const all = state?.appliances ?? [];
  renew($("appliances"), all.length ? all.map(row) : el("li", { class: "nothing" }, t("appliances.none")));
});
