// The form: one field for each column of the model, its limits and its words.

import { byId, el } from "./dom.js";
import { dayBefore, limitsText, readField, todayText } from "./values.js";

/** What the keypad of a phone shows: one without a minus sign only where none can be needed. */
function keypad({ least, isWhole, bins }) {
  const canBeNegative = least === null ? bins.some(({ low }) => low !== null && low < 0) : least < 0;
  if (canBeNegative) return "text";
  return isWhole ? "numeric" : "decimal";
}

const option = (value, text) => el("option", { value }, text);

/** Return the choices beside a number: its special codes, and "unknown". */
function otherwise({ bins, allowsMissing }) {
  const codes = bins.map((bin, b) => [bin, b]).filter(([{ kind }]) => kind === "special");
  return [...codes.map(([{ label }, b]) => [String(b), label]), ...(allowsMissing ? [["missing", "Unknown"]] : [])];
}

function numberControls(column, id, described) {
  const kind = column.date ? { type: "date", max: todayText() } : { type: "text", inputmode: keypad(column) };
  const input = el("input", { id, ...kind, autocomplete: "off", required: true, "aria-describedby": described });
  const unit = column.unit && !column.date ? el("span", { class: "unit", "aria-hidden": "true" }, column.unit) : null;
  const choices = otherwise(column);
  if (choices.length === 0) return { input, choice: null, nodes: [el("span", { class: "number" }, input, unit)] };
  const asked = column.date ? "Date" : "Number";
  const label = `${column.label}: instead of a ${asked.toLowerCase()}`;
  const options = choices.map(([value, text]) => option(value, text));
  const choice = el("select", { id: `${id}-instead`, class: "instead", "aria-label": label }, option("", asked), ...options);
  choice.addEventListener("change", () => {
    input.disabled = choice.value !== "";
    if (input.disabled) input.value = "";
    else input.focus();
  });
  return { input, choice, nodes: [el("span", { class: "number" }, input, unit), choice] };
}

function categoryControls(column, id, described) {
  const options = column.categories.map((text, code) => option(String(code), text));
  if (column.other !== null) options.push(option("other", "Other, not listed"));
  if (column.allowsMissing) options.push(option("missing", "Unknown"));
  const choice = el("select", { id, required: true, "aria-describedby": described }, option("", "Choose"), ...options);
  return { input: null, choice, nodes: [choice] };
}

/** Return a field: its elements, and functions that read, fill and mark it. */
function fieldOf(column, j) {
  const [id, hintId, errorId] = [`field-${j}`, `hint-${j}`, `error-${j}`];
  const hint = [column.hint, sentence(limitsText(column))].filter(Boolean).join(" ");
  const make = column.kind === "category" ? categoryControls : numberControls;
  const { input, choice, nodes } = make(column, id, `${hintId} ${errorId}`);
  const error = el("p", { id: errorId, class: "error", hidden: true });
  const unit = column.unit && !column.date ? el("span", { class: "unseen" }, ` in ${column.unit}`) : null;
  const node = el("div", { class: "field" }, el("label", { for: id }, column.label, unit), el("p", { id: hintId, class: "hint", hidden: hint === "" }, hint), el("div", { class: "controls" }, ...nodes), error);
  const main = input ?? choice;
  const entry = () => ({ text: input?.value ?? "", choice: choice?.value ?? "" });
  const mark = (problem) => {
    error.textContent = sentence(problem);
    error.hidden = !problem;
    node.classList.toggle("wrong", Boolean(problem));
    main.setAttribute("aria-invalid", String(Boolean(problem)));
  };
  const fill = (value) => fillField(column, { input, choice }, value);
  const focus = () => (main.disabled ? choice : main).focus();
  return { node, column, id, main, read: () => readField(column, entry()), mark, fill, focus, input, choice };
}

/** Return words as a sentence, nothing as nothing. */
const sentence = (text) => (text ? `${text[0].toUpperCase()}${text.slice(1)}.` : "");

/** Put a value as it stands in a table into a field. */
function fillField(column, { input, choice }, value) {
  if (column.kind === "category") {
    const code = column.values.indexOf(value);
    choice.value = value === null ? "missing" : code < 0 ? "other" : String(code);
    return;
  }
  const special = column.bins.findIndex(({ kind, value: code }) => kind === "special" && code === value);
  if (choice !== null) choice.value = value === null ? "missing" : special < 0 ? "" : String(special);
  input.disabled = choice !== null && choice.value !== "";
  const text = (number) => (column.date ? dayBefore(number, todayText(), column.date) : String(number));
  input.value = input.disabled || value === null ? "" : text(value);
}

const MOST_LINKS = 6;

/** Say on top of the form what is wrong, with links to the first fields. */
function showSummary(wrong) {
  const summary = byId("summary");
  summary.hidden = wrong.length === 0;
  const items = wrong.slice(0, MOST_LINKS).map(({ field, problem }) => {
    const link = el("a", { href: `#${field.id}` }, `${field.column.label}: ${problem}`);
    link.addEventListener("click", (event) => {
      event.preventDefault();
      field.focus();
    });
    return el("li", {}, link);
  });
  if (wrong.length > MOST_LINKS) items.push(el("li", {}, `and ${wrong.length - MOST_LINKS} more, marked below`));
  const title = wrong.length === 1 ? "One answer needs another look" : `${wrong.length} answers need another look`;
  summary.replaceChildren(el("h3", {}, title), el("ul", {}, ...items));
  if (wrong.length > 0) summary.focus();
}

/** Build the form. `onChange` hears of every change; `read()` gives a row, or null after saying why. */
export function formOf({ columns, sections }, onChange) {
  const fields = columns.map(fieldOf);
  const groups = sections.map(({ title, columns: inside }) => {
    const nodes = inside.map((j) => fields[j].node);
    if (!title) return el("div", { class: "section" }, ...nodes);
    return el("fieldset", { class: "section" }, el("legend", {}, title), ...nodes);
  });
  byId("fields").replaceChildren(...groups);
  for (const field of fields)
    field.node.addEventListener("input", () => {
      field.mark(null);
      onChange();
    });
  for (const field of fields)
    field.node.addEventListener("focusout", ({ relatedTarget }) => {
      const isLeft = !field.node.contains(relatedTarget);
      const isEmpty = (field.input === null || field.input.value === "") && (field.choice?.value ?? "") === "";
      if (isLeft && !isEmpty) field.mark(field.read().problem ?? null);
    });

  const read = () => {
    const found = fields.map((field) => field.read());
    found.forEach(({ problem }, j) => fields[j].mark(problem ?? null));
    const wrong = sections.flatMap(({ columns: inside }) => inside).filter((j) => found[j].problem);
    showSummary(wrong.map((j) => ({ field: fields[j], problem: found[j].problem })));
    if (wrong.length > 0) return null;
    const values = Object.fromEntries(found.map(({ value }, j) => [columns[j].name, value]));
    return { row: Float32Array.from(found, ({ raw }) => raw), shown: found.map(({ shown }) => shown), values };
  };
  const fill = (values) => {
    for (const field of fields) if (Object.hasOwn(values, field.column.name)) field.fill(values[field.column.name]);
    onChange();
  };
  return { read, fill };
}
