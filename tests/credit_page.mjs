// node credit_page.mjs FOLDER: facts.json and rows.json in; what the page's modules say of each row out.
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder] = process.argv.slice(2);
const module = (name) => import(pathToFileURL(`${folder}/${name}`).href);
const read = (name) => JSON.parse(readFileSync(`${folder}/${name}`, "utf8"));
const { decide, explainerOf, firstDisagreement, principalReasons } = await module("explain.js");
const { firstOtherChange, nearest } = await module("counterfactual.js");
const { packed, signedResult, newKeys, thumbprint, base64Of } = await module("signing.js");
const { default: scorer } = await module("scorer.js");

const facts = read("facts.json");
const explainer = explainerOf(facts);
const keys = await newKeys();

async function said(values) {
  const row = Float32Array.from(values, (x) => x ?? NaN);
  const bits = explainer.bitsOf(row);
  const points = explainer.points(bits);
  const numerators = explainer.contributions(row);
  const decision = decide(facts.rules, points);
  const changes = nearest(facts, explainer, row, 3);
  const { program, file, policy } = facts;
  const signed = await signedResult(keys, { program, file, policy, bits, points, decision, values: "" }, new Date());
  return { bits: base64Of(packed(bits)), points, scorer: scorer.points(row)[0], answers: [...scorer.answers(row)], numerators, decision, reasons: principalReasons(numerators, facts.rules.maxReasons), changes, signed };
}

const wrong = firstDisagreement(explainer, scorer, facts.proofs) ?? firstOtherChange(facts, explainer);
const rows = await Promise.all(read("rows.json").map(said));
const key = await thumbprint(rows[0].signed.key);
writeFileSync(`${folder}/out.json`, JSON.stringify({ wrong, key, rows }));
