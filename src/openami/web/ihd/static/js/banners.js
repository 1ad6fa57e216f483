// What has to be seen from across the room, the gravest first; the two gravest are shown.

import { ask, now, watch, world } from "./api.js";
import { $, el, renew, say, svg, tell } from "./dom.js";
import { powerText, span, time } from "./format.js";
import { confirmed, press } from "./ask.js";
import { acknowledge, answers, atHome, kindOf, left, textOf, wants, when } from "./events.js";
import { said, t } from "./texts.js";

const ICONS = {
  bad: "M12 3.5 21.5 20h-19zM12 10v4.5M12 17v.5",
  link: "M9 12h6M8 8H7a4 4 0 0 0 0 8h1M16 8h1a4 4 0 0 1 0 8h-1",
  event: "M13 3 5 13.5h6L10 21l8-10.5h-6z",
  note: "M4 6h16v12H4zM4 7l8 6.5L20 7",
};

const icon = (name) => {
  const made = svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" });
  made.append(svg("path", { d: ICONS[name] }));
  return made;
};

const banner = ({ kind, picture, title, text = "", buttons = [] }) =>
  el("div", { class: `banner ${kind}` }, icon(picture),
    el("div", { class: "words" }, el("p", { class: "says" }, ...[title].flat()), text && el("p", { class: "more" }, ...[text].flat())),
    buttons.length > 0 && el("div", { class: "buttons" }, buttons));

const since = (iso) => span((now() - Date.parse(iso)) / 1e3);
const ticking = (words) => {
  const node = el("span", { class: "ticking", "aria-live": "off" }, words());
  node.update = () => say(node, words());
  return node;
};

const reconnect = async () => {
  if (!(await confirmed(t("reconnect.ask")))) return;
  await ask("reconnect", { method: "POST" });
  tell(t("reconnect.done"));
};

const supply = ({ live }) => {
  if (live?.supply === "disconnected") {
    return { kind: "bad", picture: "bad", title: t("banner.disconnected"), text: t("banner.disconnected.text") };
  }
  if (live?.supply !== "ready-for-reconnection") return null;
  return {
    kind: "good", picture: "event", title: t("banner.ready"), text: t("banner.ready.text"),
    buttons: [press(t("banner.reconnect"), reconnect, { class: "strong", "data-key": "reconnect" })],
  };
};

const gone = ({ now: at }) =>
  world.gone && { kind: "warn", picture: "link", title: t("banner.gone"), text: t("banner.gone.text", { time: time(at) }) };

const lost = ({ link }) =>
  !world.gone && link.state === "lost" && {
    kind: "warn", picture: "link", title: ticking(() => t("banner.lost", { span: since(link.since) })), text: t("banner.lost.text"),
  };

const limited = ({ live, events = [] }) =>
  live?.emergency && live.limit_w != null && !events.some(({ state, limit_w: limit }) => state === "active" && limit) && {
    kind: "warn", picture: "bad", title: t("banner.emergency", { limit: powerText(live.limit_w) }), text: t("banner.emergency.text"),
  };

const event = (one) => {
  const title = [el("b", {}, textOf(one))];
  const about = [kindOf(one), when(one), ticking(() => left(one)), wants(one), atHome(one)].filter(Boolean);
  return {
    kind: one.kind === "emergency" ? "bad" : `event ${one.state}`, picture: one.kind === "emergency" ? "bad" : "event",
    title, text: about.flatMap((part, at) => (at ? [" · ", part] : [part])), buttons: answers(one),
  };
};

const notice = (one) => ({
  kind: "note", picture: "note", title: said(one.texts),
  buttons: [press(t("notice.close"), () => read(one), { "data-key": `read ${one.id}` })],
});

export const read = async (one) => {
  await ask(`notices/${encodeURIComponent(one.id)}/read`, { method: "POST" });
  one.read = true;
  paint(world);
};

const filling = ({ gaps }) =>
  gaps?.filling && {
    kind: "note filling", picture: "link", title: t("banner.filling"),
    text: gaps.left_s ? t("banner.filling.text", { span: span(gaps.left_s) }) : "",
  };

const unkept = ({ storage }) =>
  storage && { kind: "warn", picture: "bad", title: t("banner.storage"), text: t(storage.code === "store.full" ? "banner.storage.full" : "banner.storage.other") };

const ORDER = { emergency: 0, active: 1, upcoming: 2 };
const rank = (one) => ORDER[one.kind === "emergency" ? "emergency" : one.state];

const all = (state) => {
  const events = (state.events ?? []).filter((one) => one.state in ORDER).sort((a, b) => rank(a) - rank(b));
  const urgent = events.filter((one) => rank(one) === 0).map(event);
  const asked = events.filter((one) => rank(one) > 0).map(event);
  const unread = (state.notices ?? []).filter((one) => !one.read).map(notice);
  return [supply(state), ...urgent, gone(state), lost(state), limited(state), ...asked, unkept(state), ...unread, filling(state)].filter(Boolean);
};

let shown = "";
const paint = ({ state }) => {
  const found = state && state.link.state !== "unpaired" ? all(state) : [];
  if (found.length) state.events?.filter((one) => one.state in ORDER).forEach(acknowledge);
  const made = found.map(banner);
  // Times tick inside; the banners are made anew only when they say something else.
  const key = `${found.map((one) => one.kind).join()} ${made.map((node) => [...node.querySelectorAll(":not(.ticking)")].map((part) => (part.children.length ? "" : part.textContent)).join()).join("|")}`;
  if (key === shown) return;
  shown = key;
  renew($("banners"), made);
  const badge = $("unread");
  const count = (state?.notices ?? []).filter((one) => !one.read).length + (state?.events ?? []).filter((one) => one.state === "upcoming" && !["accepted", "opted-out"].includes(one.answer)).length;
  badge.hidden = !count;
  say(badge, String(count));
};

export const startBanners = () => {
  watch(paint);
  setInterval(() => { for (const node of document.querySelectorAll(".ticking")) node.update?.(); }, 1000);
};
