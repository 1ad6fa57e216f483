// What is usual in this home: judged by its own last 24 hours, not by anybody else's.

const ENOUGH = 720; // an hour of points: below, nothing is said
const SPREAD = 0.15; // about the middle, so that a steady load is not now low, now usual

export const NOISE_W = 10; // a converter's, about nothing: neither drawn nor sent

let bounds = null;

export const learn = (watts) => {
  const known = watts.filter((value) => value != null && value > 0).sort((a, b) => a - b);
  const at = (share) => known[Math.min(known.length - 1, Math.floor(share * known.length))];
  bounds = known.length < ENOUGH ? null : {
    low: at(0.5) * (1 + SPREAD),
    high: Math.max(at(0.9), at(0.5) * 1.5),
    peak: known.at(-1),
  };
};

export const usual = () => bounds;

// "export", "low", "usual", "high", "over" (near the limit in force), or "" where nothing is known.
export const verdict = (watts, limit) => {
  if (watts < -NOISE_W) return "export";
  if (limit && watts > limit * 0.9) return "over";
  if (!bounds) return "";
  if (watts <= bounds.low) return "low";
  return watts < bounds.high ? "usual" : "high";
};

// The next round number above: what a scale ends with.
export const roundUp = (value) => {
  const steps = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];
  const size = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return steps.map((step) => step * size).find((step) => step >= value);
};
