// The receipt: the signed result, to be copied, saved, shared or sent, each only when asked for.

import { el } from "./dom.js";
import { canSign, deviceKeys, signedResult, thumbprint } from "./signing.js";

let device = null;
const keysOfDevice = () => (device ??= deviceKeys());

async function signedText(facts, result, withValues) {
  const { keys, isKept } = await keysOfDevice();
  const values = withValues ? JSON.stringify(result.values) : "";
  const { program, file, policy } = facts;
  const { bits, points, decision } = result;
  const signed = await signedResult(keys, { program, file, policy, bits, points, decision, values }, new Date());
  return { text: JSON.stringify(signed, null, 1), key: await thumbprint(signed.key), isKept };
}

const button = (text, action) => {
  const node = el("button", { type: "button", class: "quiet" }, text);
  node.addEventListener("click", action);
  return node;
};

const fileOf = (text) => new File([text], "credit-result.json", { type: "application/json" });

function save(text) {
  const url = URL.createObjectURL(fileOf(text));
  const link = el("a", { href: url, download: "credit-result.json" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
  return "Saved as credit-result.json.";
}

async function copy(text) {
  await navigator.clipboard.writeText(text);
  return "Copied.";
}

async function share(text) {
  await navigator.share({ files: [fileOf(text)], title: "Credit result" });
  return "Shared.";
}

/** Post the result, and say in words what the server made of it; a key of the server is kept nowhere. */
async function send(url, text, key) {
  const headers = { "Content-Type": "application/json", ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  const response = await fetch(url, { method: "POST", body: text, headers, credentials: "same-origin", redirect: "error" });
  return response.ok ? "Sent, and confirmed by the lender." : `The lender did not take it (${response.status}).`;
}

const canShare = () => navigator.canShare?.({ files: [fileOf("{}")] }) ?? false;

/** Return the receipt of a result. */
export function receiptOf(facts, result) {
  if (!canSign()) return el("p", { class: "notice" }, "This address is not secure, so the result cannot be signed here.");
  const shown = el("pre", { tabindex: "0", role: "region", "aria-label": "The signed result" });
  const said = el("p", { class: "said", role: "status" });
  const keyLine = el("p", { class: "small" });
  const withValues = el("input", { type: "checkbox", id: "with-values" });
  let text = "";
  const sign = async () => {
    const signed = await signedText(facts, result, withValues.checked);
    text = signed.text;
    shown.textContent = text;
    keyLine.textContent = `Key of this device: ${signed.key}${signed.isKept ? "" : " (this browser keeps no key; the next visit has another)"}`;
  };
  const telling = (action) => async () => {
    said.textContent = "";
    try {
      said.textContent = await action(text);
    } catch (error) {
      said.textContent = error?.name === "AbortError" ? "" : "That did not work on this device. Select the text and copy it by hand.";
    }
  };
  withValues.addEventListener("change", sign);
  const actions = [button("Copy", telling(copy)), button("Save file", telling(save))];
  if (canShare()) actions.push(button("Share", telling(share)));
  const key = el("input", { type: "password", id: "key", autocomplete: "off", spellcheck: "false" });
  const keyField = el("div", { class: "field key" }, el("label", { for: "key" }, "Key for sending"), key);
  if (facts.verifyUrl) actions.push(button("Send to the lender", telling((signed) => send(facts.verifyUrl, signed, key.value.trim()))));
  const lead = "The lender can recompute the score from this text. It holds the ranges in which the answers lie, not the answers.";
  const choice = el("label", { class: "check", for: "with-values" }, withValues, el("span", {}, "Include my answers"));
  const card = el("details", { class: "card fold receipt" }, el("summary", {}, "Signed result"), el("p", { class: "lead" }, lead), choice, facts.verifyUrl && facts.needsKey ? keyField : null, el("div", { class: "buttons" }, ...actions), said, shown, keyLine);
  card.ready = sign().catch(() => {
    said.textContent = "This browser cannot sign.";
  });
  return card;
}
