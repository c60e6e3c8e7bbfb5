// The dial: where the score stands between refusal and approval.

import { svg } from "./dom.js";
import { shownNumber } from "./values.js";

const [CX, CY, R] = [160, 158, 122];
const GAP = 0.6; // degrees left free on either side of a border
const SPREAD = 6; // the dial shows so many times the points that double the odds, on both sides

/** Return the ends of the scale in points: round numbers around the cut-off and the band. */
export function rangeOf({ unit, pdo, cutoff, refer }) {
  const half = SPREAD * pdo * unit;
  const [low, high] = refer ?? [cutoff, cutoff];
  const step = 10 * unit;
  return [Math.floor((Math.min(low, cutoff) - half) / step) * step, Math.ceil((Math.max(high, cutoff) + half) / step) * step];
}

/** Return the angle of points, 0 at the left end and 180 at the right; beyond the ends it stays there. */
export function angleOf([low, high], points) {
  return 180 * Math.min(1, Math.max(0, (points - low) / (high - low)));
}

function at(angle, radius) {
  const turn = (Math.PI * (180 - angle)) / 180;
  return [CX + radius * Math.cos(turn), CY - radius * Math.sin(turn)].map((x) => x.toFixed(2));
}

function arc(from, to, name) {
  const [start, end] = [at(from + GAP, R), at(Math.max(to - GAP, from + GAP), R)];
  return svg("path", { class: `arc ${name}`, d: `M${start.join(" ")} A${R} ${R} 0 0 1 ${end.join(" ")}` });
}

/** Return the arcs of the decisions. */
function arcs(rules, range) {
  const borders = rules.refer ?? [rules.cutoff, rules.cutoff];
  const [a, b] = borders.map((points) => angleOf(range, points));
  const all = [["decline", 0, a], ["refer", a, b], ["approve", b, 180]];
  return all.filter(([, from, to]) => to > from).map(([name, from, to]) => arc(from, to, name));
}

function label(angle, radius, text, name, anchor) {
  const [x, y] = at(angle, radius);
  return svg("text", { x, y, class: name, "text-anchor": anchor }, text);
}

function cutoffMark(rules, range) {
  const angle = angleOf(range, rules.cutoff);
  const [[x1, y1], [x2, y2]] = [at(angle, R - 16), at(angle, R + 17)];
  const anchor = angle < 80 ? "end" : angle > 100 ? "start" : "middle";
  const text = `cut-off ${shownNumber(rules.cutoff / rules.unit)}`;
  return [svg("line", { x1, y1, x2, y2, class: "cutoff" }), label(angle, R + 24, text, "small strong", anchor)];
}

/** Return the dial of a score. */
export function dial(rules, points) {
  const range = rangeOf(rules);
  const score = shownNumber(points / rules.unit);
  const band = rules.refer ? ` From ${rules.refer.map((p) => shownNumber(p / rules.unit)).join(" to ")} a person decides.` : "";
  const words = `Score ${score}. Approved from ${shownNumber(rules.cutoff / rules.unit)}.${band}`;
  const needle = svg("g", { class: "needle" }, svg("circle", { cx: CX - R, cy: CY, r: 14, class: "halo" }), svg("circle", { cx: CX - R, cy: CY, r: 9.5 }));
  needle.style.transform = `rotate(${angleOf(range, points).toFixed(2)}deg)`;
  needle.style.transformOrigin = `${CX}px ${CY}px`;
  const ends = range.map((end, i) => svg("text", { x: i ? CX + R : CX - R, y: CY + 26, class: "small", "text-anchor": "middle" }, shownNumber(end / rules.unit)));
  const middle = [
    svg("text", { x: CX, y: CY - 18, class: "score", "text-anchor": "middle" }, score),
    svg("text", { x: CX, y: CY + 8, class: "small", "text-anchor": "middle" }, "score"),
  ];
  return svg("svg", { viewBox: "0 0 320 192", class: "dial", role: "img", "aria-label": words }, ...arcs(rules, range), ...cutoffMark(rules, range), needle, ...ends, ...middle);
}
