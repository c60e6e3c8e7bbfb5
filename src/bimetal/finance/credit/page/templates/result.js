// The result: decision, dial, principal reasons, what would change it, and the signed text.

import { dial } from "./dial.js";
import { el, icon } from "./dom.js";
import { shownBin, shownNumber } from "./values.js";

const TITLES = { approve: "Approved", refer: "A person will decide", decline: "Not approved" };
const SUBTITLES = {
  approve: "The score reaches the cut-off.",
  refer: "The score is close to the cut-off, where a person looks at the application.",
  decline: "The score is below the cut-off.",
};
const NUMBER_WORDS = ["no", "one", "two", "three", "four"];

/** Return score points with a sign, in tenths. */
const signed = (points) => {
  const shown = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1, signDisplay: "exceptZero" }).format(points);
  return shown.replace("-", "\u2212");
};

/** Return a probability in percent, with two digits that count. */
export function percent(p) {
  const digits = p < 0.001 || p > 0.999 ? 3 : p < 0.1 ? 1 : 0;
  return `${new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(100 * p)} %`;
}

/** Return words that are heard and not seen. */
const unseen = (text) => el("span", { class: "unseen" }, text);

const card = (title, ...children) => el("section", { class: "card" }, el("h3", {}, title), ...children);

/** Return the distance to the border that matters: what it is called, and points. */
function distance({ unit, refer, approval }, { points, decision }) {
  const name = { approve: refer ? "Above the review band" : "Above the cut-off", refer: "Short of approval", decline: refer ? "Below approval" : "Below the cut-off" }[decision];
  return [name, `${shownNumber(Math.abs(points - approval) / unit)} points`];
}

function head(rules, result) {
  const { decision, probability, points } = result;
  const sign = el("span", { class: `sign ${decision}` }, icon(decision));
  const title = el("h2", { id: "result-title", tabindex: "-1" }, TITLES[decision]);
  const facts = el("dl", { class: "figures" });
  for (const [name, value] of [["Probability of default", percent(probability)], distance(rules, result)])
    facts.append(el("div", {}, el("dt", {}, name), el("dd", {}, value)));
  return el("section", { class: `card head ${decision}` }, el("div", { class: "verdict" }, sign, el("div", {}, title, el("p", {}, SUBTITLES[decision]))), dial(rules, points), facts);
}

/** Return the principal reasons, the worst first. */
function reasonsCard({ players, rules, denominator }, { reasons, numerators }) {
  if (reasons.length === 0) return null;
  const worst = -numerators[reasons[0]];
  const items = reasons.map((p) => {
    const share = el("span", { class: "share" });
    share.style.width = `${Math.max(2, (100 * -numerators[p]) / worst).toFixed(1)}%`;
    const points = signed(numerators[p] / denominator / rules.unit);
    const code = players[p].code ? el("span", { class: "code" }, players[p].code) : null;
    return el("li", {}, el("p", {}, el("span", { class: "text" }, players[p].text), code), el("span", { class: "meter", "aria-hidden": "true" }, share), el("span", { class: "points" }, `${points} points`));
  });
  const lead = "Points lost against approved applicants near the cut-off.";
  const title = reasons.length === 1 ? "The principal reason" : `The ${NUMBER_WORDS[reasons.length]} principal reasons`;
  return card(title, el("p", { class: "lead" }, lead), el("ol", { class: "reasons" }, ...items));
}

/** Return all contributions, folded away: for and against. */
function allCard({ players, rules, columns, denominator }, { numerators }) {
  const order = numerators.map((_, p) => p).sort((a, b) => numerators[a] - numerators[b] || a - b);
  const rows = order.map((p) => {
    const name = players[p].columns.length === 1 ? columns[players[p].columns[0]].label : players[p].name;
    const kind = numerators[p] < 0 ? "minus" : numerators[p] > 0 ? "plus" : "";
    return el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: kind }, signed(numerators[p] / denominator / rules.unit)));
  });
  const table = el("table", {}, el("caption", {}, "Score points of each answer, compared with approved applicants near the cut-off"), el("tbody", {}, ...rows));
  return el("details", { class: "card fold" }, el("summary", {}, "What counted, for and against"), table);
}

function changeItem(columns, shown, { column, bin, isOpen, isUp }) {
  const facts = columns[column];
  const arrow = el("span", { "aria-hidden": "true" }, "\u2192");
  const to = shownBin(facts, facts.bins[bin], isOpen ? (isUp ? "up" : "down") : "");
  return el("li", {}, el("span", { class: "what" }, facts.label), el("span", { class: "from" }, unseen("from "), shown[column]), el("span", {}, unseen("to"), arrow), el("span", { class: "to" }, to));
}

/** Return what would be approved, the nearest first; or why nothing is shown. */
function changesCard({ columns, rules }, { decision, shown, changes, points }) {
  const title = "What would change the decision";
  if (decision === "approve") {
    const spare = shownNumber((points - rules.approval) / rules.unit);
    return card(title, el("p", {}, `Answers that cost more than ${spare} points of score.`));
  }
  if (changes.length === 0) return card(title, el("p", {}, "No change of one or two answers that an applicant can change would be approved."));
  const options = changes.map(({ changes: inside, points: reached }, i) => {
    const items = inside.map((change) => changeItem(columns, shown, change));
    const score = el("p", { class: "reached" }, icon("approve"), `Score ${shownNumber(reached / rules.unit)}: approved`);
    return el("li", { class: "option" }, el("p", { class: "number" }, changes.length > 1 ? `Option ${i + 1}` : "With this change"), el("ul", {}, ...items), score);
  });
  return card(title, el("p", { class: "lead" }, "The nearest applications that would be approved, all other answers as they are."), el("ul", { class: "options" }, ...options));
}

/** Return all parts of a result. */
export const resultParts = (facts, result) =>
  [head(facts.rules, result), reasonsCard(facts, result), changesCard(facts, result), allCard(facts, result)].filter(Boolean);
