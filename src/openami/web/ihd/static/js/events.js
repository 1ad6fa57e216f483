// Demand response: what the utility asks, what happens at home, and the household's answer.

import { ask, now, refresh, world } from "./api.js";
import { el, tell } from "./dom.js";
import { dayTime, powerText, span, time } from "./format.js";
import { press } from "./ask.js";
import { said, t } from "./texts.js";
import { perKwh } from "./tiles.js";

const KINDS = { price: "event.price", shed: "event.shed", emergency: "event.emergency" };
const LEVELS = [null, "event.level1", "event.level2", "event.level3"];

export const kindOf = (event) => t(KINDS[event.kind] ?? "messages.event");

export const when = (event) => {
  const near = Math.abs(Date.parse(event.begins) - now()) < 43_200_000;
  return `${near ? time(event.begins) : dayTime(event.begins)}–${time(event.ends)}`;
};

export const left = (event) => {
  const until = (iso) => span((Date.parse(iso) - now()) / 1e3);
  const words = {
    upcoming: () => t("event.starts", { span: until(event.begins) }),
    active: () => t("event.ends", { span: until(event.ends) }),
    over: () => t("event.over"),
    cancelled: () => t("event.cancelled"),
  };
  return words[event.state]();
};

export const wants = (event) => {
  const found = [];
  if (event.price != null) found.push(perKwh(event.price, event.currency || world.state.bill?.currency || "KRW"));
  if (event.limit_w != null) found.push(t("event.limit", { limit: powerText(event.limit_w) }));
  if (LEVELS[event.level]) found.push(t(LEVELS[event.level]));
  return found.join(" · ");
};

// What the appliances do for it.
export const atHome = (event) => {
  const what = (world.state.appliances ?? [])
    .filter((one) => one.event === event.id && one.mode !== "normal")
    .map((one) => t(one.mode === "off" ? "event.paused" : "event.less", { name: one.name }));
  return what.length ? t("event.athome", { what: what.join(", ") }) : "";
};

const send = (event, answer) =>
  ask(`events/${encodeURIComponent(event.id)}/answer`, { method: "POST", body: { answer } });

// The utility is told, once, that an event was on a page that somebody can see.
const acknowledged = new Set();
export const acknowledge = (event) => {
  if (event.answer || document.hidden || world.gone || acknowledged.has(event.id)) return;
  acknowledged.add(event.id);
  send(event, "acknowledged").catch(() => setTimeout(() => acknowledged.delete(event.id), 60_000));
};

const post = async (event, answer) => {
  const before = event.answer;
  await send(event, answer);
  event.answer = answer;
  if (answer === "opted-out") tell(t("event.optedout"));
  if (answer === "accepted" && before !== "opted-out") tell(t("event.accepted"));
  await refresh();
};

// Accept and opt out, or what was answered with a way back. An emergency asks nobody.
export const answers = (event) => {
  if (!["upcoming", "active"].includes(event.state)) return [];
  if (event.kind === "emergency" || !event.optional) return [el("span", { class: "soft" }, t("event.must"))];
  const button = (key, answer, kind) =>
    press(t(key), () => post(event, answer), { class: kind, "data-key": `${event.id} ${answer}` });
  if (event.answer === "opted-out") {
    return [el("span", { class: "answer" }, t("event.optedout")), button("event.undo", "accepted", "plain")];
  }
  if (event.answer === "accepted") {
    return [el("span", { class: "answer yes" }, t("event.accepted")), button("event.optout", "opted-out", "plain")];
  }
  return [button("event.optout", "opted-out", "plain"), button("event.accept", "accepted", "strong")];
};

export const textOf = (event) => said(event.texts) || kindOf(event);
