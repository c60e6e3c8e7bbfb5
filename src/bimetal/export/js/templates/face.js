// The face that both the JavaScript and the WebAssembly module show: named values in, answers out.
// Around it stand ID, N_COLUMNS, N_POINTS, N_ANSWERS, COLUMNS, CLASSES, GOLDEN_X and GOLDEN_Y.

/** Whether this machine stores the low byte of a number first, as the constants below do. */
const IS_LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Decode base64 as little-endian numbers. */
function numbers(Type, text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const width = Type.BYTES_PER_ELEMENT;
  if (!IS_LITTLE && width > 1)
    for (let i = 0; i < bytes.length; i += width) bytes.subarray(i, i + width).reverse();
  return new Type(bytes.buffer);
}

/** A name as it stands in a message. */
const shown = (value) => {
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 80 ? text.slice(0, 77) + "..." : text;
};

/** The columns' names for a message: the first eight. */
const listed = (columns) =>
  columns.slice(0, 8).map((column) => shown(column.name)).join(", ") + (columns.length > 8 ? ", ..." : "");

/** Return a number rounded to float32 once; null and undefined are missing, which is NaN. */
function float32(value, where) {
  if (value === null || value === undefined) return NaN;
  const isNumber = ["number", "boolean", "bigint"].includes(typeof value);
  if (!isNumber) throw new TypeError(`${where} takes a number, got ${typeof value} ${shown(value)}; convert it first`);
  const wide = Number(value);
  const narrow = Math.fround(wide);
  if (Number.isFinite(wide) && !Number.isFinite(narrow))
    throw new RangeError(`${where}: ${wide} is too large for float32, which ends at 3.4e38; use another unit`);
  return narrow;
}

/** Whole numbers as a Map finds them: a bigint only where a number would not be exact. */
const keyOf = (value) => {
  if (typeof value === "boolean") return Number(value);
  return typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value;
};

/** Return the code of a category: its position, -1 for one never seen, NaN for a missing one. */
function codeOf(value, column, codes) {
  if (value === null || value === undefined || Number.isNaN(value)) return NaN;
  const isText = typeof value === "string";
  if (!isText && !["number", "boolean", "bigint"].includes(typeof value))
    throw new TypeError(`column ${shown(column.name)} takes a category, got ${typeof value}; convert it first`);
  const kin = column.categories.filter((category) => (typeof category === "string") === isText);
  if (column.categories.length > 0 && kin.length === 0)
    throw new TypeError(
      `column ${shown(column.name)} has categories such as ${shown(column.categories[0])}, ` +
        `got ${typeof value} ${shown(value)}; convert it first`,
    );
  return codes.get(keyOf(value)) ?? -1;
}

/** Write the value of one column into a raw row. */
function place(row, { column, start, codes }, value) {
  const where = `column ${shown(column.name)}`;
  if (column.kind === "category") row[start] = codeOf(value, column, codes);
  else if (column.kind === "number") row[start] = float32(value, where);
  else if (value === null || value === undefined) row.fill(NaN, start, start + column.size);
  else {
    if (typeof value !== "object" || value.length !== column.size)
      throw new TypeError(`${where} takes ${column.size} numbers, got ${value.length ?? typeof value}`);
    for (let i = 0; i < column.size; i++) row[start + i] = float32(value[i], where);
  }
}

/** Where each column stands in the raw row, by name; a Map, as a name may be "__proto__". */
function layout(columns) {
  const places = new Map();
  let start = 0;
  for (const column of columns) {
    const codes = new Map(column.categories.map((category, code) => [keyOf(category), code]));
    places.set(column.name, { column, start, codes });
    start += column.size;
  }
  return places;
}

const PLACES = layout(COLUMNS);

/** Return the raw row of named values; what is not named is missing. */
function rowOf(values) {
  if (values === null || typeof values !== "object" || Array.isArray(values) || ArrayBuffer.isView(values))
    throw new TypeError(`an object of named values expected, such as {${listed(COLUMNS)}: ...}, got ${shown(values)}`);
  const row = new Float32Array(N_COLUMNS).fill(NaN);
  for (const [name, value] of values instanceof Map ? values : Object.entries(values)) {
    const found = PLACES.get(name);
    if (found === undefined) throw new TypeError(`there is no column ${shown(name)}; the columns are ${listed(COLUMNS)}`);
    place(row, found, value);
  }
  const infinite = row.findIndex((x) => x === Infinity || x === -Infinity);
  if (infinite >= 0) {
    const { column } = [...PLACES.values()].findLast(({ start }) => start <= infinite);
    throw new RangeError(`column ${shown(column.name)} is infinite; give a finite number, or null for a missing one`);
  }
  return row;
}

/** Return a raw row, one number a column, as float32. */
function rawRow(row) {
  if (row === null || typeof row !== "object" || row.length !== N_COLUMNS)
    throw new TypeError(
      `a raw row of ${N_COLUMNS} numbers expected, got ${row?.length ?? shown(row)}; named values go to predict()`,
    );
  if (row instanceof Float32Array) return row;
  return Float32Array.from(row, (x, i) => float32(x, `number ${i} of a raw row`));
}

/** Return n raw rows, one after another. */
function rawRows(rows, n = rows?.length / N_COLUMNS) {
  if (!(rows instanceof Float32Array) || !Number.isSafeInteger(n) || n < 0 || rows.length !== n * N_COLUMNS)
    throw new TypeError(
      `a Float32Array of n rows of ${N_COLUMNS} numbers expected, got ${rows?.length ?? shown(rows)} numbers and n = ${n}`,
    );
  return [rows, n];
}

/** Return the position of the largest answer; among equals the lowest. */
function largest(answers) {
  let best = 0;
  for (let i = 1; i < answers.length; i++) if (answers[i] > answers[best]) best = i;
  return best;
}

/** Count the golden rows whose answers are not those stored, bit for bit. */
function countWrong(engine) {
  const golden = numbers(Float32Array, GOLDEN_X);
  const expected = numbers(Uint32Array, GOLDEN_Y);
  const n = golden.length / N_COLUMNS;
  const came = new Uint32Array(engine.answers(golden, n).buffer);
  let nWrong = 0;
  for (let i = 0; i < n; i++)
    if (expected.subarray(i * N_ANSWERS, (i + 1) * N_ANSWERS).some((bits, j) => bits !== came[i * N_ANSWERS + j]))
      nWrong++;
  return nWrong;
}

/** Return what one raw row gives. */
function resultOf(engine, row) {
  const answers = engine.answers(row, 1);
  const result = { answers, points: engine.points(row, 1) };
  if (CLASSES.length === 0) return result;
  const index = largest(answers);
  return { ...result, index, class: CLASSES[index] };
}

/** Build the face over an engine, which has points(rows, n) and answers(rows, n). */
function faceOf(engine) {
  return Object.freeze({
    id: ID,
    columns: COLUMNS,
    classes: CLASSES,
    row: rowOf,
    points: (row) => engine.points(rawRow(row), 1),
    answers: (row) => engine.answers(rawRow(row), 1),
    classOf: (row) => largest(engine.answers(rawRow(row), 1)),
    pointsMany: (rows, n) => engine.points(...rawRows(rows, n)),
    answersMany: (rows, n) => engine.answers(...rawRows(rows, n)),
    predict: (values) => resultOf(engine, rowOf(values)),
    selfTest: () => countWrong(engine),
  });
}
