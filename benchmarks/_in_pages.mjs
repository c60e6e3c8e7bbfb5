// node _in_pages.mjs FILE...: nanoseconds a row of each module, the least of many short turns.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const AT_ONCE = 50;
const face = async (path) => (await import(pathToFileURL(resolve(path)).href)).default;
const rows = new Float32Array(new Uint8Array(readFileSync("rows.f32")).buffer);
const models = { js: await face("js.mjs") };
for (const end of [".wasm", "_simd.wasm"]) models[`wasm${end}`] = await (await face("wasm.mjs")).load(readFileSync(`wasm${end}`));

const width = rows.length / Number(process.argv[2]);
const least = Object.fromEntries(Object.keys(models).map((name) => [name, Infinity]));
for (let turn = 0; turn < Number(process.argv[3]); turn++)
  for (const [name, model] of Object.entries(models)) {
    const first = (turn * AT_ONCE * width) % (rows.length - AT_ONCE * width);
    const some = rows.subarray(first, first + AT_ONCE * width);
    const begin = performance.now();
    model.pointsMany(some);
    least[name] = Math.min(least[name], ((performance.now() - begin) * 1e6) / AT_ONCE);
  }
console.log(JSON.stringify(least));
