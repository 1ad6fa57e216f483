// What a page does that hangs on a wall: keeps the screen on, goes dark at night, never burns in.

import { now } from "./api.js";
import { $ } from "./dom.js";
import { parts } from "./format.js";

const KEY = "awake";
const NIGHT = [22, 6]; // hours of the home
const MOVE_MS = 120_000;
const PATH = [[0, 0], [3, 1], [4, 4], [1, 3], [-2, 4], [-4, 1], [-3, -3], [0, -4], [3, -2]]; // pixels

let lock = null;
export const awake = () => localStorage.getItem(KEY) !== "off";

const hold = async () => {
  if (!awake() || document.hidden || lock || !navigator.wakeLock) return;
  try {
    lock = await navigator.wakeLock.request("screen");
    lock.addEventListener("release", () => { lock = null; });
  } catch {
    lock = null; // a browser may refuse, on a low battery for one: the page is shown all the same
  }
};

export const setAwake = (on) => {
  localStorage.setItem(KEY, on ? "on" : "off");
  if (on) hold();
  else lock?.release();
};

let theme = "auto";
export const isNight = () => {
  const { hour } = parts(now());
  return hour >= NIGHT[0] || hour < NIGHT[1];
};
const dress = () => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches || isNight();
  root.dataset.night = String(isNight());
  root.dataset.theme = theme === "auto" ? (dark ? "dark" : "light") : theme;
};
export const setTheme = (name) => {
  theme = name ?? "auto";
  dress();
};

let step = 0;
const move = () => {
  step = (step + 1) % PATH.length;
  const [x, y] = PATH[step];
  $("stage").style.translate = `${x}px ${y}px`;
};

export const startWall = () => {
  hold();
  document.addEventListener("visibilitychange", hold);
  document.addEventListener("pointerdown", hold);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", dress);
  setInterval(dress, 30_000);
  setInterval(move, MOVE_MS);
};
