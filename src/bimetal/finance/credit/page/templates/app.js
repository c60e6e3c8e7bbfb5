// The page: loads the scorer, tests it, and then answers the form. Nothing leaves the device by itself.

import { MOST_OPTIONS, firstOtherChange, nearest } from "./counterfactual.js";
import { byId, el } from "./dom.js";
import { decide, explainerOf, firstDisagreement, principalReasons } from "./explain.js";
import { formOf } from "./form.js";
import { percent, resultParts } from "./result.js";
import { engines } from "./scorers.js";
import { receiptOf } from "./receipt.js";
import { shownNumber } from "./values.js";

const FACTS = JSON.parse(byId("facts").textContent);

/**
 * Return the first scorer that this device runs, with its name. A phone in lockdown has no
 * WebAssembly; the same Program in JavaScript takes its place there.
 */
async function loadedScorer() {
  let last = null;
  for (const [name, load] of engines)
    try {
      return { name, scorer: await load() };
    } catch (error) {
      last = error;
    }
  throw last;
}

/** Return what scores: tested against the model's own rows, or not at all. */
async function tested() {
  const { name, scorer } = await loadedScorer();
  const explainer = explainerOf(FACTS);
  if (scorer.id !== FACTS.program) throw new Error(`the scorer is of Program ${scorer.id}, expected ${FACTS.program}`);
  const nWrong = scorer.selfTest();
  if (nWrong > 0) throw new Error(`${nWrong} of the model's own rows give other answers on this device`);
  const wrong = firstDisagreement(explainer, scorer, FACTS.proofs) ?? firstOtherChange(FACTS, explainer);
  if (wrong !== null) throw new Error(wrong);
  return { name, scorer, explainer };
}

/** Score a row; refuse where two ways to the same whole number do not meet. */
function assess({ scorer, explainer }, { row, shown, values }) {
  const points = scorer.points(row)[0];
  const bits = explainer.bitsOf(row);
  if (explainer.points(bits) !== points) throw new Error("two calculations of this score do not agree");
  const decision = decide(FACTS.rules, points);
  const numerators = explainer.contributions(row);
  const reasons = decision === "approve" ? [] : principalReasons(numerators, FACTS.rules.maxReasons);
  const changes = decision === "approve" ? [] : nearest(FACTS, explainer, row, MOST_OPTIONS);
  for (const change of changes) requireReached(scorer, row, change);
  return { points, probability: scorer.answers(row)[1], decision, bits, numerators, reasons, changes, shown, values };
}

/** Ask the scorer itself about a change before it is shown. */
function requireReached(scorer, row, { changes, points }) {
  const changed = Float32Array.from(row);
  for (const { column, bin } of changes) changed[column] = FACTS.columns[column].bins[bin].value;
  if (scorer.points(changed)[0] !== points) throw new Error("two calculations of a change do not agree");
}

function announce({ points, decision, probability, reasons }) {
  const words = { approve: "Approved", refer: "A person will decide", decline: "Not approved" }[decision];
  const why = reasons.length ? ` Principal reason: ${FACTS.players[reasons[0]].text}.` : "";
  byId("live").textContent = `${words}. Score ${shownNumber(points / FACTS.rules.unit)}. Probability of default ${percent(probability)}.${why}`;
}

const setView = (view) => document.documentElement.setAttribute("data-view", view);

/** Show the result on a phone; the way back is the browser's own. */
function enterResult() {
  if (history.state !== "result") history.pushState("result", "");
  setView("result");
}

function leaveResult() {
  setView("form");
  byId("answers-title").focus();
}

function show(result) {
  const again = el("button", { type: "button", class: "quiet again" }, "Change answers");
  again.addEventListener("click", () => history.back());
  const notice = el("p", { class: "notice" }, FACTS.notice);
  byId("outcome").replaceChildren(...resultParts(FACTS, result), receiptOf(FACTS, result), notice, again);
  byId("outcome").hidden = false;
  byId("outcome").classList.remove("old");
  enterResult();
  scrollTo(0, 0);
  byId("result-title").focus({ preventScroll: true });
  announce(result);
}

/** An answer changed: the result shown is of other answers. */
function setOld() {
  if (byId("outcome").hidden) return;
  byId("outcome").classList.add("old");
  byId("live").textContent = "The answers changed; check again.";
}

function fail(error) {
  setView("form");
  const report = `${error?.message ?? error}`;
  const parts = [el("h2", {}, "This page does not calculate on this device"), el("p", {}, "Its own test did not come out as it should, so it gives no score. Please ask the lender for another way."), el("p", { class: "small" }, report)];
  byId("trouble").replaceChildren(...parts);
  byId("trouble").hidden = false;
  byId("answers").hidden = true;
  byId("result").hidden = true;
}

function showAbout(name) {
  const facts = [["Calculated by", `${name}, on this device`], ["Self-test", `passed, ${FACTS.proofs.rows.length} rows with contributions`], ["Model file (SHA-256)", FACTS.file], ["Program", FACTS.program], ["Policy", FACTS.policy]];
  byId("about").replaceChildren(...facts.flatMap(([term, value]) => [el("dt", {}, term), el("dd", {}, value)]));
}

function showForm(machine) {
  const form = formOf(FACTS, setOld);
  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const given = form.read();
    if (given === null) return;
    try {
      show(assess(machine, given));
    } catch (error) {
      fail(error);
    }
  });
  if (Object.keys(FACTS.example).length > 0) {
    byId("example").hidden = false;
    byId("example").addEventListener("click", () => form.fill(FACTS.example));
  }
  addEventListener("popstate", leaveResult);
  if (history.state === "result") history.replaceState(null, "");
  byId("answers").hidden = false;
  byId("result").hidden = false;
}

/** Keep a copy for use without a network, and say when a newer one is there. */
async function keepOffline() {
  if (!("serviceWorker" in navigator) || !location.protocol.startsWith("http") || byId("facts").hasAttribute("data-single")) return;
  const address = globalThis.trustedTypes?.createPolicy("page", { createScriptURL: () => "./sw.js" }).createScriptURL("") ?? "./sw.js";
  const registration = await navigator.serviceWorker.register(address);
  const offer = () => {
    if (registration.waiting && navigator.serviceWorker.controller) byId("renewed").hidden = false;
  };
  registration.addEventListener("updatefound", () => registration.installing?.addEventListener("statechange", offer));
  offer();
  byId("renew").addEventListener("click", () => {
    navigator.serviceWorker.addEventListener("controllerchange", () => location.reload());
    registration.waiting?.postMessage("take over");
  });
}

function showPlace() {
  byId("place").classList.toggle("offline", !navigator.onLine);
  byId("place-text").textContent = navigator.onLine ? "On this device" : "Offline, still works";
}

function offerInstall() {
  addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault();
    byId("install").hidden = false;
    byId("install").onclick = () => {
      byId("install").hidden = true;
      event.prompt();
    };
  });
}

async function start() {
  showPlace();
  addEventListener("online", showPlace);
  addEventListener("offline", showPlace);
  offerInstall();
  try {
    const machine = await tested();
    showAbout(machine.name);
    showForm(machine);
    document.documentElement.setAttribute("data-ready", machine.name);
  } catch (error) {
    fail(error);
  }
  await keepOffline().catch(() => {}); // without it the page works as long as there is a network
}

start();
