// Language, appearance, tariff; what the tablet itself does is kept on the tablet.

import { ask, refresh, take, watch, world } from "./api.js";
import { $, el, renew, tell } from "./dom.js";
import { number } from "./format.js";
import { confirmed, press, problem } from "./ask.js";
import { awake, setAwake } from "./wall.js";
import { LANGUAGES, current, t } from "./texts.js";

const THEMES = { auto: "settings.auto", light: "settings.light", dark: "settings.dark" };

const set = async (change) => {
  const before = world.state.settings;
  take({ ...world.state, now: new Date(Date.parse(world.state.now)).toISOString(), settings: { ...before, ...change } });
  try {
    await ask("settings", { method: "PATCH", body: change });
    await refresh();
  } catch (error) {
    tell(problem(error));
    await refresh();
  }
};

const choice = (name, label, options, chosen, choose) => el("div", { class: "setting" },
  el("p", { class: "says", id: `set-${name}` }, label),
  el("div", { class: "segments", role: "group", "aria-labelledby": `set-${name}` },
    Object.entries(options).map(([value, text]) => el("button", {
      "aria-pressed": String(value === chosen), "data-key": `${name} ${value}`, onclick: () => choose(value),
      lang: name === "language" ? value : null,
    }, text))));

const tariff = ({ tariffs = [], bill, settings }) => {
  const chosen = settings.tariff ?? bill?.tariff;
  const shipped = tariffs.some(({ name }) => name === chosen);
  // Without a name it is the one of a file that the display was started with.
  const options = tariffs.map(({ name, title, titles }) => el("option", { value: name ?? "", selected: shipped ? name === chosen : name == null },
    titles?.[current()] ?? title));
  const select = el("select", { id: "tariff", "data-key": "tariff" }, options);
  select.addEventListener("change", () => set({ tariff: select.value || null }));
  return el("div", { class: "setting" }, el("label", { class: "says", for: "tariff" }, t("settings.tariff")), select);
};

// End the pairing; what was kept of the household stays for the next one, or goes.
const end = (history, question) => async () => {
  if (!(await confirmed(t(question)))) return;
  await ask("pair", { method: "DELETE", body: { history } });
  await globalThis.caches?.delete("last"); // what the worker keeps of this home
  await refresh();
  if (history === "forget") tell(t("settings.erased"));
};

const eraser = (label) => press(label, end("forget", "settings.erase.ask"), { class: "plain danger", "data-key": "erase" });

// For who finds an unpaired display in a home that was somebody else's.
export const leftover = ({ energy }) =>
  Object.values(energy ?? {}).some((wh) => wh > 0) && el("p", { class: "leftover" }, t("settings.leftover"), " ", eraser(t("settings.erase.left")));

const fact = (label, value) => el("div", {}, el("dt", {}, label), el("dd", {}, value));

const painted = (state) => {
  const themes = Object.fromEntries(Object.entries(THEMES).map(([name, key]) => [name, t(key)]));
  const { carbon, link, serial } = state;
  return [
    choice("language", t("settings.language"), LANGUAGES, current(), (language) => set({ language })),
    choice("theme", t("settings.theme"), themes, state.settings.theme ?? "auto", (theme) => set({ theme })),
    tariff(state),
    el("div", {}, choice("awake", t("settings.awake"), { on: t("settings.on"), off: t("settings.off") }, awake() ? "on" : "off",
      (value) => { setAwake(value === "on"); paint(world); }), el("p", { class: "more" }, t("settings.awake.text"))),
    el("div", { class: "facts" },
      el("dl", {}, fact(t("settings.meter"), serial ?? "–"),
        fact(t("settings.way"), t(link.way === "gateway" ? "settings.gateway" : "settings.direct")),
        carbon && fact(t("settings.carbon"), t("settings.carbon.text", { grams: number(carbon.g_per_kwh), source: carbon.source }))),
      el("div", { class: "buttons" },
        press(t("settings.unpair"), end("keep", "settings.unpair.ask"), { class: "plain danger", "data-key": "unpair" }),
        eraser(t("settings.erase")))),
  ];
};

let shown = "";
const paint = ({ state }) => {
  if (!state) return;
  const key = JSON.stringify([state.settings, state.tariffs, state.serial, state.link.way, state.carbon?.g_per_kwh, current(), awake(), state.bill?.tariff]);
  if (key === shown) return;
  shown = key;
  renew($("settings"), painted(state));
};

export const startSettings = () => watch(paint);
