// node credit_page_values.mjs FOLDER: asked.json in, [function, ...arguments] each; answers out.
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder] = process.argv.slice(2);
const values = await import(pathToFileURL(`${folder}/values.js`).href);
const asked = JSON.parse(readFileSync(`${folder}/asked.json`, "utf8"));
writeFileSync(`${folder}/told.json`, JSON.stringify(asked.map(([name, ...given]) => values[name](...given))));
