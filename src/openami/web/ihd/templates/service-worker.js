// Keeps the page and what it last showed, so that a tablet shows both when the display is gone.
// VERSION and SHELL are put before this by the server.
"use strict";

const PAGE = `page-${VERSION}`;
const LAST = "last"; // what the API said last; the page empties it when the meter is unpaired
const KEPT = ["/api/v1/state", "/api/v1/points", "/api/v1/energy"];

self.addEventListener("install", (event) => {
  const fresh = SHELL.map((url) => new Request(url, { cache: "reload" }));
  event.waitUntil(caches.open(PAGE).then((cache) => cache.addAll(fresh)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const clean = async () => {
    const names = await caches.keys();
    await Promise.all(names.filter((name) => name !== PAGE && name !== LAST).map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(clean());
});

// One answer a path: its query holds times, and each would be kept for ever.
const place = (url) => new Request(url.origin + url.pathname + (url.searchParams.get("by") ?? ""));

const kept = async (url) => {
  const answer = await (await caches.open(LAST)).match(place(url));
  if (!answer) return Response.error();
  const headers = new Headers(answer.headers);
  headers.set("X-Kept", "1");
  return new Response(answer.body, { status: answer.status, headers });
};

const live = async (request, url) => {
  try {
    const answer = await fetch(request);
    if (answer.ok) {
      const copy = answer.clone();
      caches.open(LAST).then((cache) => cache.put(place(url), copy)).catch(() => undefined);
    }
    return answer;
  } catch {
    return kept(url);
  }
};

const page = async (request, url) => {
  const cache = await caches.open(PAGE);
  return (await cache.match(request.mode === "navigate" ? "/" : url.pathname)) ?? fetch(request);
};

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  if (KEPT.includes(url.pathname)) event.respondWith(live(request, url));
  else if (SHELL.includes(url.pathname)) event.respondWith(page(request, url));
});
