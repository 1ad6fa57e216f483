// The display's local API, and what the page knows by it.

export class Refused extends Error {
  constructor(status, { error: problem = {} }) {
    super(problem.message ?? `HTTP ${status}`);
    this.status = status;
    this.code = problem.code ?? "";
  }
}

const ANSWER_MS = 20_000; // a display that is gone without a word answers never; old tablets wait

export const ask = async (path, { method = "GET", body } = {}) => {
  const reads = method === "GET"; // what changes something takes as long as the meter does
  const answer = await fetch(`/api/v1/${path}`, {
    method, cache: "no-store", headers: reads ? {} : { "Content-Type": "application/json" },
    body: reads ? undefined : JSON.stringify(body ?? {}), signal: reads ? AbortSignal.timeout?.(ANSWER_MS) : undefined,
  });
  if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => ({})));
  const said = answer.status === 204 ? null : await answer.json();
  return { said, kept: answer.headers.has("X-Kept") };
};

// One state for all parts of the page, and who wants to know when it changes.
export const world = { state: null, gone: false, locked: false };
const watchers = [];
export const watch = (watcher) => { watchers.push(watcher); };
export const changed = () => { for (const watcher of watchers) watcher(world); };

const listeners = [];
export const onLive = (listener) => { listeners.push(listener); };

// The display's time, going on between what it says.
let clock = { at: Date.now(), mark: performance.now() };
export const now = () => clock.at + performance.now() - clock.mark;
const setClock = (iso, slack) => {
  const at = Date.parse(iso);
  if (Math.abs(at - now()) > slack) clock = { at, mark: performance.now() };
};

export const take = (state, kept = false) => {
  world.state = state;
  world.gone = kept;
  world.locked = false;
  setClock(state.now, 250);
  changed();
};

export const refresh = async () => {
  try {
    const { said, kept } = await ask("state");
    take(said, kept);
  } catch (error) {
    if (error instanceof Refused) world.locked = error.status === 401;
    else world.gone = true;
    changed();
  }
};

const openers = [];
// What a page must do that may have missed news.
export const onOpened = (opener) => { openers.push(opener); };

const AGAIN_MS = 3000;
const LOOK_MS = 5000;
const SILENT_MS = 40_000; // a display says something every 15 seconds
let source = null;
let again = 0;
let heard = 0;

const TOLD = {
  live: (text) => {
    if (!world.state) return;
    const before = world.state.live;
    const live = JSON.parse(text);
    world.state.live = live;
    setClock(live.at, 5000);
    for (const listener of listeners) listener(live);
    // What is said of the supply is no figure that ticks: it stands in banners.
    if (before?.supply !== live.supply || before?.emergency !== live.emergency) changed();
  },
  state: (text) => {
    const said = text ? JSON.parse(text) : {};
    if (said.link) take(said);
    else refresh();
  },
  link: () => refresh(),
  alive: () => undefined,
};

const close = () => {
  clearTimeout(again);
  source?.close();
  source = null;
};

const lose = () => {
  close();
  refresh();
  again = setTimeout(open, AGAIN_MS);
};

const hear = () => { heard = performance.now(); };

// A page that nobody sees listens to nothing: a browser has six connections for all its pages.
const open = () => {
  close();
  if (document.hidden) return;
  hear();
  source = new EventSource("/api/v1/stream");
  for (const [kind, tell] of Object.entries(TOLD)) {
    source.addEventListener(kind, (event) => { hear(); tell(event.data); });
  }
  source.addEventListener("open", () => {
    refresh();
    for (const opener of openers) opener();
  });
  source.addEventListener("error", lose);
};

// A tablet that slept, a network that went without a word: no error tells of them.
const look = () => { if (source && performance.now() - heard > SILENT_MS) lose(); };
const woken = () => {
  open();
  if (source) refresh();
};

export const start = async () => {
  await refresh();
  open();
  setInterval(look, LOOK_MS);
  document.addEventListener("visibilitychange", woken);
  addEventListener("pageshow", (event) => { if (event.persisted) woken(); });
  addEventListener("online", woken);
};
