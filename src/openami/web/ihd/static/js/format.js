// Numbers, money and times, as the language and the home's zone write them.

import { current, t } from "./texts.js";

let zone = Intl.DateTimeFormat().resolvedOptions().timeZone; // until the display tells the home's
export const setZone = (name) => { zone = name; };
export const getZone = () => zone;

const kept = new Map();
const intl = (Kind, options) => {
  const key = `${Kind.name} ${current()} ${zone} ${JSON.stringify(options)}`;
  if (!kept.has(key)) kept.set(key, new Kind(current() === "ko" ? "ko-KR" : "en", options));
  return kept.get(key);
};

export const number = (value, digits = 0, least = digits) =>
  intl(Intl.NumberFormat, { maximumFractionDigits: digits, minimumFractionDigits: least }).format(value)
    .replace("-", "\u2212");

// Watts below a kilowatt, else kilowatts: three figures are what an eye takes in at once.
export const power = (watts) => {
  if (watts == null) return { value: "–", unit: "" };
  const size = Math.abs(Math.round(watts));
  if (size < 1000) return { value: number(Math.round(watts)), unit: "W" };
  return { value: number(watts / 1e3, size < 9995 ? 2 : 1), unit: "kW" };
};
export const powerText = (watts) => {
  const { value, unit } = power(watts);
  return unit ? `${value}\u202f${unit}` : value;
};

export const kwh = (wh, digits) => {
  const size = Math.abs(wh);
  return number(wh / 1e3, digits ?? (size < 995 ? 2 : size < 99_950 ? 1 : 0));
};
export const energy = (wh, digits) => (wh == null ? "–" : `${kwh(wh, digits)}\u202fkWh`);

export const money = (amount, currency, digits) => {
  if (amount == null) return "–";
  if (currency === "KRW" && current() === "ko") return `${number(Number(amount), digits ?? 0, 0)}원`;
  const options = { style: "currency", currency, currencyDisplay: "narrowSymbol" };
  if (digits != null) Object.assign(options, { maximumFractionDigits: digits, minimumFractionDigits: 0 });
  return intl(Intl.NumberFormat, options).format(Number(amount));
};

export const percent = (share) => intl(Intl.NumberFormat, { style: "percent" }).format(share);

const stamp = (options) => (at) =>
  intl(Intl.DateTimeFormat, { timeZone: zone, ...options }).format(new Date(at));
export const time = stamp({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
export const day = stamp({ weekday: "long", month: "long", day: "numeric" });
export const dayShort = stamp({ month: "short", day: "numeric" });
export const weekday = stamp({ weekday: "short" });
export const dayTime = stamp({ month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
export const monthName = stamp({ month: "short" });
export const monthYear = stamp({ year: "numeric", month: "long" });
export const year = stamp({ year: "numeric" });
export const dayOfMonth = stamp({ day: "numeric" });
export const parts = (at) => {
  const found = {};
  const kind = new Intl.DateTimeFormat("en", {
    timeZone: zone, year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric", hourCycle: "h23",
  });
  for (const { type, value } of kind.formatToParts(new Date(at))) found[type] = Number(value);
  return found;
};

const unit = (value, name) =>
  intl(Intl.NumberFormat, { style: "unit", unit: name, unitDisplay: current() === "ko" ? "long" : "short" }).format(value);

// How long something takes, in its two largest units.
export const span = (seconds) => {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [["day", Math.floor(whole / 86400)], ["hour", Math.floor(whole / 3600) % 24], ["minute", Math.floor(whole / 60) % 60], ["second", whole % 60]];
  const first = parts.findIndex(([, value]) => value);
  if (first < 0) return unit(0, "second");
  return parts.slice(first, first + 2).filter(([, value]) => value).map(([name, value]) => unit(value, name)).join(" ");
};

// The instant at which a local date begins; the second look takes the offset of that very day.
export const midnight = (y, month, d = 1) => {
  const wanted = Date.UTC(y, month - 1, d);
  let at = wanted;
  for (let look = 0; look < 2; look += 1) {
    const seen = parts(at);
    at += wanted - Date.UTC(seen.year, seen.month - 1, seen.day, seen.hour, seen.minute, seen.second);
  }
  return at;
};

export const differs = (now, before) => {
  if (!before) return "";
  const share = now / before - 1;
  if (Math.abs(share) < 0.02) return "";
  const of = percent(Math.abs(share));
  return share < 0 ? t("compare.less", { of }) : t("compare.more", { of });
};
