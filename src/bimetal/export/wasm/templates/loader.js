// WebAssembly: two builds of the same net, one for machines with 128-bit vectors.

/** A module that only compiles where there are 128-bit vectors: v128.const, i8x16.popcnt, drop. */
const NEEDS_SIMD = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 25, 1, 23, 0, 253, 12],
  ...[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 253, 98, 26, 11],
);

/** Whether this machine runs the build with vectors. */
const hasSimd = () => WebAssembly.validate(NEEDS_SIMD);

/** Return the bytes behind an address; Node's fetch knows no files. */
async function fetched(url) {
  if (url.protocol === "file:" && typeof process !== "undefined") {
    const { readFile } = await import("node:fs/promises");
    return readFile(url);
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} cannot be fetched: ${response.status} ${response.statusText}`);
  return response.arrayBuffer();
}

/** Return a compiled module of whatever was given: a module, its bytes, an address, or nothing. */
async function compiled(source) {
  if (source instanceof WebAssembly.Module) return source;
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return WebAssembly.compile(source);
  if (source === undefined && INLINE !== null) return WebAssembly.compile(numbers(Uint8Array, INLINE[hasSimd() ? 1 : 0]));
  const chosen = source ?? (hasSimd() ? SIMD_URL : PLAIN_URL);
  if (typeof chosen !== "string" && !(chosen instanceof URL))
    throw new TypeError(`load() takes a WebAssembly.Module, its bytes, an address or nothing, got ${shown(chosen)}`);
  return WebAssembly.compile(await fetched(new URL(chosen, globalThis.location?.href ?? BASE_URL)));
}

const BATCH_BYTES = 1 << 18;

/** Return an engine over an instance: rows go through its memory, some at a time. */
function engineOf({ memory, heap, points, answers }) {
  const nAtOnce = Math.max(1, Math.floor(BATCH_BYTES / (4 * N_COLUMNS)));
  const rowsAt = (heap() + 15) & ~15;
  const outAt = rowsAt + 4 * ((N_COLUMNS * nAtOnce + 3) & ~3);
  const end = outAt + 4 * Math.max(N_POINTS, N_ANSWERS) * nAtOnce;
  const lacking = Math.ceil((end - memory.buffer.byteLength) / 65536);
  if (lacking > 0) memory.grow(lacking);
  const input = new Float32Array(memory.buffer, rowsAt, N_COLUMNS * nAtOnce);
  const many = (run, Type, width) => {
    const output = new Type(memory.buffer, outAt, width * nAtOnce);
    return (rows, n) => {
      const out = new Type(n * width);
      for (let i = 0; i < n; i += nAtOnce) {
        const m = Math.min(nAtOnce, n - i);
        input.set(m === n ? rows : rows.subarray(i * N_COLUMNS, (i + m) * N_COLUMNS));
        run(rowsAt, m, outAt);
        out.set(output.subarray(0, m * width), i * width);
      }
      return out;
    };
  };
  return { points: many(points, Int32Array, N_POINTS), answers: many(answers, Float32Array, N_ANSWERS) };
}

/** Return the model; the module is compiled, and held against this file's id and golden rows. */
async function loadModel(source) {
  const { exports } = await WebAssembly.instantiate(await compiled(source), {});
  const id = String.fromCharCode(...new Uint8Array(exports.memory.buffer, exports.id(), ID.length));
  if (id !== ID) throw new Error(`this WebAssembly is Program ${shown(id)}, expected ${ID}; take the files of one export`);
  const model = faceOf(engineOf(exports));
  const nWrong = model.selfTest();
  if (nWrong > 0) throw new Error(`${nWrong} golden rows give wrong answers on this machine; please report it`);
  return model;
}

let loading = null;
const modelOf = () => (loading ??= loadModel());
