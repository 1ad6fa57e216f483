// Everything that the utility said: events and notices, the newest first.

import { watch } from "./api.js";
import { $, el, renew } from "./dom.js";
import { dayTime } from "./format.js";
import { press } from "./ask.js";
import { read } from "./banners.js";
import { answers, kindOf, left, textOf, wants, when } from "./events.js";
import { said, t } from "./texts.js";

const KINDS = { bill: "messages.bill", outage: "messages.outage" };

const event = (one) => ({
  at: Date.parse(one.begins),
  node: el("article", { class: `message event ${one.state}` },
    el("p", { class: "more" }, el("b", { class: "tag" }, kindOf(one)), " ", dayTime(one.begins)),
    el("p", { class: "says" }, textOf(one)),
    el("p", { class: "more" }, [when(one), left(one), wants(one)].filter(Boolean).join(" · ")),
    el("div", { class: "buttons" }, answers(one))),
});

const notice = (one) => ({
  at: Date.parse(one.at),
  node: el("article", { class: `message ${one.read ? "read" : "unread"}` },
    el("p", { class: "more" }, el("b", { class: "tag" }, t(KINDS[one.kind] ?? "messages.notice")), " ", dayTime(one.at)),
    el("p", { class: "says" }, said(one.texts)),
    !one.read && el("div", { class: "buttons" }, press(t("messages.read"), () => read(one), { "data-key": `mark ${one.id}` }))),
});

export const startMessages = () => watch(({ state }) => {
  const all = [...(state?.events ?? []).map(event), ...(state?.notices ?? []).map(notice)].sort((a, b) => b.at - a.at);
  renew($("messages"), all.length ? all.map(({ node }) => node) : el("p", { class: "nothing" }, t("messages.none")));
});
