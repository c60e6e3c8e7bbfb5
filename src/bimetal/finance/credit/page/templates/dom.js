// Elements from names, attributes and text. Text of others becomes text only: nothing is ever parsed.

const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** Return an element of HTML. */
export const el = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);

/** Return an element of SVG. */
export const svg = (tag, attributes = {}, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);

/** Return the element of an id. */
export const byId = (id) => document.getElementById(id);

const ICONS = {
  approve: ["M5 13l5 5L20 7"],
  refer: ["M12 7v6", "M12 17v.01"],
  decline: ["M6 6l12 12", "M18 6L6 18"],
};

/** Return the sign of a decision, which words accompany. */
export function icon(name) {
  const strokes = ICONS[name].map((d) => svg("path", { d }));
  return svg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, ...strokes);
}
