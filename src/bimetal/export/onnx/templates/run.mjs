// Runs an ONNX model in onnxruntime-web over rows of float32, batch by batch, and writes what it gives.
// node run.mjs <folder of onnxruntime-web> <model> <rows> <n_columns> <batch> <points> <answers>
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [ortFolder, modelFile, rowsFile, nColumnsText, batchText, pointsFile, answersFile] =
  process.argv.slice(2);
const ort = createRequire(join(ortFolder, "package.json"))("onnxruntime-web");

function floatsOf(file) {
  const bytes = readFileSync(file);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

async function main() {
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(readFileSync(modelFile), {
    executionProviders: ["wasm"],
  });
  const rows = floatsOf(rowsFile);
  const nColumns = Number(nColumnsText);
  const batch = Number(batchText);
  const points = [];
  const answers = [];
  const started = performance.now();
  for (let i = 0; i < rows.length; i += batch * nColumns) {
    const part = rows.slice(i, i + batch * nColumns);
    const row = new ort.Tensor("float32", part, [part.length / nColumns, nColumns]);
    const made = await session.run({ row });
    points.push(Buffer.from(Int32Array.from(made.points.data).buffer));
    answers.push(Buffer.from(Float32Array.from(made.answers.data).buffer));
  }
  const took = performance.now() - started;
  writeFileSync(pointsFile, Buffer.concat(points));
  writeFileSync(answersFile, Buffer.concat(answers));
  console.log(JSON.stringify({ version: ort.env.versions?.common, milliseconds: took }));
}

main().catch((error) => {
  console.error(String(error?.stack ?? error));
  process.exit(1);
});
