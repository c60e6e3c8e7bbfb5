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

/** Return the words for the limits of a column, or "". */
export function limitsText({ least, greatest, unit }) {
  const shown = (x) => `${shownNumber(x)}${unit ? ` ${unit}` : ""}`;
  if (least === null && greatest === null) return "";
  if (least === null) return `at most ${shown(greatest)}`;
  return greatest === null ? `at least ${shown(least)}` : `between ${shownNumber(least)} and ${shown(greatest)}`;
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
 * Returns the float32 of the raw row, the value as JSON, how it reads, or the problem in words.
 */
export function readField(column, { text, choice }) {
  if (choice === "missing") return { raw: NaN, value: null, shown: "unknown" };
  return column.kind === "category" ? readCategory(column, choice) : readNumber(column, text, choice);
}

function readCategory({ categories, values, other }, choice) {
  if (choice === "") return { problem: "choose one of the list" };
  if (choice === "other") return { raw: -1, value: other, shown: "other" };
  return { raw: Number(choice), value: values[Number(choice)], shown: categories[Number(choice)] };
}

function readNumber(column, text, choice) {
  if (choice !== "") {
    const { value, label } = column.bins[Number(choice)];
    return { raw: value, value, shown: label };
  }
  const { value, problem } = numberOf(text);
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
