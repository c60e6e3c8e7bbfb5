// As the script of a worker (new Worker(url, { type: "module" })) this file answers messages:
// { id, rows } with { id, answers, points }, { id, values } with { id, result }, and what is wrong
// with { id, error }. Imported by another script it stays silent.

/** Return the answer to one message. */
async function serve({ id, rows, values }) {
  try {
    const model = await modelOf();
    if (rows === undefined) return { id, result: model.predict(values) };
    return { id, answers: model.answersMany(rows), points: model.pointsMany(rows) };
  } catch (error) {
    return { id, error: String(error.message) };
  }
}

if ("WorkerGlobalScope" in globalThis && globalThis.location.href === import.meta.url)
  globalThis.addEventListener("message", async ({ data }) => globalThis.postMessage(await serve(data ?? {})));
