// The display's local API, and what the page knows by it.

export class Refused extends Error {
  constructor(status, { error: problem = {} }) {
    super(problem.message ?? `HTTP ${status}`);
    this.status = status;
    this.code = problem.code ?? "";
  }
}

export const ask = async (path, { method = "GET", body } = {}) => {
  const headers = method === "GET" ? {} : { "Content-Type": "application/json" };
  const answer = await fetch(`/api/v1/${path}`, {
    method, headers, body: method === "GET" ? undefined : JSON.stringify(body ?? {}), cache: "no-store",
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

const AGAIN_MS = 3000;
let source = null;
const listen = () => {
  source = new EventSource("/api/v1/stream");
  source.addEventListener("live", (event) => {
    if (!world.state) return;
    const before = world.state.live;
    const live = JSON.parse(event.data);
    world.state.live = live;
    setClock(live.at, 5000);
    for (const listener of listeners) listener(live);
    // What is said of the supply is no figure that ticks: it stands in banners.
    if (before?.supply !== live.supply || before?.emergency !== live.emergency) changed();
  });
  source.addEventListener("state", (event) => {
    const said = event.data ? JSON.parse(event.data) : {};
    if (said.link) take(said);
    else refresh();
  });
  source.addEventListener("link", refresh);
  source.addEventListener("open", refresh);
  source.addEventListener("error", () => {
    source.close();
    refresh();
    setTimeout(listen, AGAIN_MS);
  });
};

export const start = async () => {
  await refresh();
  listen();
};
