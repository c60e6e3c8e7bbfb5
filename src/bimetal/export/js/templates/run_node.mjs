// node run_node.mjs FILE NAME: rows.f32 in, one JSON object a model out.
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [file, name] = process.argv.slice(2);
const loaded = await import(pathToFileURL(resolve(file)).href);
const face = file.endsWith(".mjs") ? loaded.default : globalThis[name];
const models = await modelsOf(face, (path) => readFileSync(path));
const rows = new Float32Array(new Uint8Array(readFileSync("rows.f32")).buffer);
writeFileSync("out.json", JSON.stringify(models.map((model) => outcomeOf(model, rows))));
