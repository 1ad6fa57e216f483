// What happens while a page is open: news from the server, and answers that are errors.
//
// <main data-live="/api/v1/live?…"> is where news comes from; an element with
// data-news="readings report" gets a "news" event when something of it happens, at most every
// data-spacing seconds (1). htmx or the chart then loads it again.
"use strict";
(() => {
  const main = document.getElementById("content");
  const topics = ["readings", "events", "report", "device", "registration", "alarm", "campaign", "demand"];
  const POLL_MS = 15000; // for "3 min ago", and in case that news gets lost

  // --- loading again -------------------------------------------------------------------------
  const queue = new WeakMap(); // element -> {timer, last, left}; elements come and go
  // Whoever writes into a part of the page is not to lose what they wrote.
  const busy = (element) => element.querySelector("details[open] > form") !== null;
  const fire = (element, entry) => {
    entry.timer = 0;
    if (!element.isConnected) return;
    entry.last = performance.now();
    if (busy(element)) {
      schedule(element, entry);
      return;
    }
    entry.left -= 1;
    htmx.trigger(element, "news");
    if (entry.left > 0) schedule(element, entry);
  };
  const schedule = (element, entry) => {
    const spacing = 1000 * Number(element.dataset.spacing || 1);
    const wait = Math.max(0, entry.last + spacing - performance.now());
    entry.timer = setTimeout(fire, wait, element, entry);
  };
  const news = (element) => {
    const entry = queue.get(element) ?? { timer: 0, last: -Infinity, left: 0 };
    queue.set(element, entry);
    // data-settle: the server answers from memory for a moment, so the first answer may be old.
    entry.left = "settle" in element.dataset ? 2 : 1;
    if (!entry.timer) schedule(element, entry);
  };
  const fresh = (within = "[data-news]") => document.querySelectorAll(within).forEach(news);

  // --- the stream ----------------------------------------------------------------------------
  const badge = document.querySelector(".live");
  let source = null;
  let retrying = 0;
  let patience = 1000;
  let missed = false; // whether anything may have happened that we were not told of
  const show = (state, text) => {
    badge.hidden = false;
    badge.dataset.state = state;
    badge.textContent = text;
  };
  const opened = () => {
    patience = 1000;
    if (missed) fresh();
    if (badge.dataset.state === "lost") say("Live updates are back.");
    missed = false;
    show("open", "live");
  };
  const failed = () => {
    missed = true;
    if (badge.dataset.state !== "lost") say("Live updates are lost, trying again.");
    show("lost", "trying again");
    if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    source = null;
    retrying = setTimeout(open, patience);
    patience = Math.min(2 * patience, 30000);
  };
  const open = () => {
    clearTimeout(retrying);
    if (source || document.hidden) return;
    source = new EventSource(main.dataset.live);
    source.onopen = opened;
    source.onerror = failed;
    for (const topic of topics) {
      source.addEventListener(topic, () => fresh(`[data-news~="${topic}"]`));
    }
    source.addEventListener("dropped", () => fresh());
  };
  // A browser has six connections for a server: a page that nobody sees gives its own back.
  const close = () => {
    clearTimeout(retrying);
    source?.close();
    source = null;
    missed = true;
  };
  if (main.dataset.live) {
    show("wait", "connecting");
    open();
    document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
    addEventListener("pagehide", close);
    addEventListener("pageshow", open);
    setInterval(() => {
      if (!document.hidden) fresh(missed ? "[data-news]" : "[data-news]:not(.chart)");
    }, POLL_MS);
  }

  // --- what changed --------------------------------------------------------------------------
  const status = document.getElementById("said");
  const say = (text) => { if (status.textContent !== text) status.textContent = text; };
  const progress = () => document.querySelector("[data-say]")?.textContent.replace(/\s+/g, " ").trim();
  const shown = new Map();
  let said = progress();
  const compare = (mark) => document.querySelectorAll("[data-value]").forEach((element) => {
    const old = shown.get(element.dataset.value);
    if (mark && old !== undefined && old !== element.textContent) element.classList.add("fresh");
    shown.set(element.dataset.value, element.textContent);
  });
  compare(false);
  document.addEventListener("htmx:afterSettle", (event) => {
    compare(true);
    // The button that was pushed may be gone, with all that it was in: read on from the top.
    const pushed = event.detail.requestConfig?.verb === "post";
    if (pushed && document.activeElement === document.body) main.focus();
    const now = progress();
    if (now && now !== said) say(now);
    said = now;
  });

  // --- errors --------------------------------------------------------------------------------
  // The server names the place of its own error messages; any other body is not for this page.
  const problem = document.getElementById("problem");
  let troubled = null;
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { requestConfig, target } = event.detail;
    if (requestConfig.verb === "get" && busy(target)) { // opened since it was asked for
      event.detail.shouldSwap = false;
      return;
    }
    if (!event.detail.xhr.getResponseHeader("HX-Retarget")) return;
    event.detail.shouldSwap = true;
    event.detail.isError = false;
    troubled = event.detail.requestConfig.elt;
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const { elt, successful, xhr } = event.detail;
    if (successful && xhr.status < 400 && (elt === troubled || !troubled?.isConnected)) {
      problem.replaceChildren();
    }
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[aria-disabled=true]")) event.preventDefault();
  });
})();
