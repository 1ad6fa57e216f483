// The page of the in-home display: which view is shown, and what the head line says.

import { ask, now, refresh, start, watch, world } from "./api.js";
import { startAppliances } from "./appliances.js";
import { startBanners } from "./banners.js";
import { startDay } from "./day.js";
import { startDial } from "./dial.js";
import { $, say, show, tell } from "./dom.js";
import { day, setZone, time } from "./format.js";
import { keypad } from "./keypad.js";
import { startMessages } from "./messages.js";
import { startPoints } from "./points.js";
import { leftover, startSettings } from "./settings.js";
import { choose, current, load, t } from "./texts.js";
import { startTiles } from "./tiles.js";
import { openUsage, startUsage } from "./usage.js";
import { setTheme, startWall } from "./wall.js";

const VIEWS = ["now", "usage", "appliances", "messages", "settings"];
const LINKS = { connected: "link.connected", lost: "link.lost", pairing: "link.pairing", unpaired: "link.unpaired", locked: "pin.title" };

const CODE = {
  title: "first.title", text: "first.text", code: "first.code", digit: "first.digit", button: "first.pair", wait: "first.wait",
  least: 8, most: 8, more: () => leftover(world.state),
  send: async (code) => {
    await ask("pair", { method: "POST", body: { code } });
    tell(t("first.done"));
    await refresh();
  },
};
const AGAIN = { ...CODE, title: "first.again", text: "first.forgotten" };
const PIN = {
  title: "pin.title", text: "pin.text", code: "pin.code", digit: "pin.digit", button: "pin.open", least: 6, most: 16, hidden: true,
  send: async (pin) => {
    await ask("unlock", { method: "POST", body: { pin } });
    await refresh();
  },
};

let first = "";
let forgotten = false; // by the meter; while it is paired anew, the link says nothing of it
const gate = () => {
  if (world.state?.link.state !== "pairing") forgotten = world.state?.link.code === "home.forgotten";
  const unpaired = world.state?.link.state === "unpaired" || world.state?.link.state === "pairing";
  const wanted = world.locked ? "pin" : unpaired ? "code" : "";
  const left = wanted === "code" && Boolean(leftover(world.state));
  const key = wanted && `${wanted} ${forgotten} ${left} ${current()}`;
  if (key !== first && wanted) keypad($("pairing"), wanted === "pin" ? PIN : forgotten ? AGAIN : CODE);
  first = key;
  return wanted;
};

let shown = "";
const route = () => {
  const gated = gate();
  const asked = location.hash.slice(1);
  const view = gated ? "first" : VIEWS.includes(asked) ? asked : "now";
  document.documentElement.dataset.view = view;
  for (const section of document.querySelectorAll(".view")) show(section, section.dataset.view === view);
  for (const link of document.querySelectorAll(".rail a")) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view === "usage" && shown !== "usage") openUsage();
  shown = view;
};

const head = () => {
  const chip = $("link");
  const { state, gone, locked } = world;
  const link = locked ? "locked" : gone ? "gone" : state?.link.state ?? "gone";
  chip.dataset.state = link;
  say($("link-words"), t(LINKS[link] ?? "link.gone"));
};

const tick = () => {
  say($("clock"), time(now()));
  say($("date"), day(now()));
};

// What the page looks and speaks like, before any part of it is painted.
const dress = ({ state }) => {
  if (state) {
    setZone(state.zone);
    setTheme(state.settings?.theme);
    if (!document.body.dataset.language || document.body.dataset.language !== String(state.settings?.language)) {
      choose(state.settings?.language);
      document.body.dataset.language = String(state.settings?.language);
      shown = "";
    }
  }
  show(document.body, true);
};

// A display that comes back may be a new one: its page is taken at once, as nobody reloads a wall.
const keepShell = async (workers) => {
  const before = workers.controller;
  workers.addEventListener("controllerchange", () => { if (before) location.reload(); });
  const kept = await workers.register("/service-worker.js");
  let gone = false;
  watch((known) => {
    if (gone && !known.gone) kept.update().catch(() => undefined); // tried again when it comes back
    gone = known.gone;
  });
};

const boot = async () => {
  await load();
  choose();
  setTheme();
  watch(dress);
  for (const part of [startPoints, startDial, startDay, startTiles, startBanners, startAppliances, startMessages, startSettings, startUsage, startWall]) part();
  watch(head);
  watch(route);
  watch(tick);
  addEventListener("hashchange", route);
  setInterval(tick, 1000);
  await start();
  if ("serviceWorker" in navigator && isSecureContext) await keepShell(navigator.serviceWorker);
};

boot();
