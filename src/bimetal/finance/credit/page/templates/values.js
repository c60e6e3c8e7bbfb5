// From what was typed and chosen to a raw row, with plain words where that cannot be.

const SPACES = /[\s\u00a0\u202f'\u2019_]/g; // people group thousands by any of these
const LARGEST_FLOAT32 = 3.4028234663852886e38;

/** Return the number that a text means, or the words for why it means none. */
export function numberOf(text) {
  const plain = text.replace(SPACES, "").replace(/^\u2212/, "-");
  if (plain === "") return { problem: "enter a number" };
  if (/^[+-]?[0-9]{1,3},[0-9]{3}$/.test(plain))
    return { problem: `${text.trim()} could mean two numbers; write it without the comma` };
  const dotted = /^[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?$/.test(plain) ? plain.replaceAll(",", "") : plain.replace(",", ".");
  if (!/^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)$/.test(dotted)) return { problem: "enter a number in digits, such as 1500 or 0.25" };
  const value = Number(dotted);
  if (Math.abs(value) > LARGEST_FLOAT32) return { problem: "this number is too large" };
  return { value };
}

/** Return the words for the limits of a column, or ""; of a date they count back from today. */
export function limitsText({ least, greatest, unit, date }) {
  const shown = (x) => `${shownNumber(x)}${unit ? ` ${unit}` : ""}${date ? " ago" : ""}`;
  if (least === null && greatest === null) return "";
  if (least === null) return `at most ${shown(greatest)}`;
  return greatest === null ? `at least ${shown(least)}` : `between ${shownNumber(least)} and ${shown(greatest)}`;
}

const DAY_MS = 86_400_000;

/** Return a day as the parts of "2026-11-28", or null. */
function dayOf(text) {
  const parts = /^([0-9]{4})-([0-9]{2})-([0-9]{2})$/.exec(text.trim())?.slice(1).map(Number);
  if (!parts) return null;
  const at = new Date(0);
  at.setUTCFullYear(parts[0], parts[1] - 1, parts[2]); // Date.UTC would take the year 99 for 1999
  const isThere = at.getUTCMonth() === parts[1] - 1 && at.getUTCDate() === parts[2];
  return isThere ? { year: parts[0], month: parts[1], day: parts[2], days: Math.round(at.getTime() / DAY_MS) } : null;
}

/** Return complete days, months or years from a day to today, or the words for why there are none. */
export function countOf(text, today, unit) {
  const [then, now] = [dayOf(text), dayOf(today)];
  if (then === null) return { problem: "enter a date" };
  if (then.days > now.days) return { problem: "this date lies in the future" };
  if (unit === "days") return { value: now.days - then.days };
  const months = 12 * (now.year - then.year) + now.month - then.month - (now.day < then.day ? 1 : 0);
  return { value: unit === "years" ? Math.floor(months / 12) : months };
}

/** Return a day that lies so many complete units back. */
export function dayBefore(count, today, unit) {
  const { year, month, day, days } = dayOf(today);
  const at = new Date(0);
  if (unit === "days") at.setTime((days - count) * DAY_MS);
  else {
    const months = 12 * year + month - 1 - count * (unit === "years" ? 12 : 1);
    const [y, m] = [Math.floor(months / 12), ((months % 12) + 12) % 12];
    at.setUTCFullYear(y, m + 1, 0); // the last day of that month
    at.setUTCFullYear(y, m, Math.min(day, at.getUTCDate()));
  }
  return at.toISOString().slice(0, 10);
}

/** Return the day that the device's calendar shows. */
export function todayText(now = new Date()) {
  const padded = (n, width) => String(n).padStart(width, "0");
  return `${padded(now.getFullYear(), 4)}-${padded(now.getMonth() + 1, 2)}-${padded(now.getDate(), 2)}`;
}

/** Whether a number lies within limits; float32 on both sides, as the model compares. */
const isWithin = (value, { least, greatest }) =>
  !(least !== null && Math.fround(value) < Math.fround(least)) &&
  !(greatest !== null && Math.fround(value) > Math.fround(greatest));

/** Return a number as people write it. */
export const shownNumber = (x) => new Intl.NumberFormat("en", { maximumSignificantDigits: 9 }).format(x);

/**
 * Read one field. `entry` is { text, choice }: choice is "" where a number is to be read from the
 * text or nothing was chosen, "missing", "other", or the position of a category or a bin.
 * Dates count back from `today`. Returns the float32 of the raw row, the value as JSON, how it reads, or the problem in words.
 */
export function readField(column, { text, choice }, today = todayText()) {
  if (choice === "missing") return { raw: NaN, value: null, shown: "unknown" };
  return column.kind === "category" ? readCategory(column, choice) : readNumber(column, text, choice, today);
}

function readCategory({ categories, values, other }, choice) {
  if (choice === "") return { problem: "choose one of the list" };
  if (choice === "other") return { raw: -1, value: other, shown: "other" };
  return { raw: Number(choice), value: values[Number(choice)], shown: categories[Number(choice)] };
}

function readNumber(column, text, choice, today) {
  if (choice !== "") {
    const { value, label } = column.bins[Number(choice)];
    return { raw: value, value, shown: label };
  }
  const { value, problem } = column.date ? countOf(text, today, column.date) : numberOf(text);
  if (problem) return { problem };
  if (column.isWhole && !Number.isInteger(value)) return { problem: "enter a whole number" };
  if (!isWithin(value, column)) return { problem: `must be ${limitsText(column)}` };
  return { raw: Math.fround(value), value, shown: shownNumber(value) + (column.unit ? ` ${column.unit}` : "") };
}

/**
 * Return how a bin reads: "30 to below 40 months", "below 18", "own". With `way` "up" or "down" all
 * bins further on are meant as well: "30 months or more".
 */
export function shownBin({ unit, isWhole }, { kind, label, low, high }, way = "") {
  if (kind === "missing") return "unknown";
  if (kind !== "range") return label;
  const after = unit ? ` ${unit}` : "";
  const first = low === null || way === "down" ? null : isWhole ? Math.ceil(low) : low;
  const last = high === null || way === "up" ? null : isWhole ? Math.ceil(high) - 1 : high;
  if (first === null && last === null) return "any number";
  if (last === null) return `${shownNumber(first)}${after} or more`;
  if (!isWhole) return first === null ? `below ${shownNumber(last)}${after}` : `${shownNumber(first)} to below ${shownNumber(last)}${after}`;
  if (first === null) return `${shownNumber(last)}${after} or less`;
  return first === last ? `${shownNumber(first)}${after}` : `${shownNumber(first)} to ${shownNumber(last)}${after}`;
}
