// The net at work: values[0] is the raw row, values[i + 1] what step i makes; a step that no answer
// needs is null.

/** Return what the link reads. */
function run(values, row) {
  values[0] = row;
  for (let i = 0; i < NET.length; i++) if (NET[i] !== null) values[i + 1] = NET[i](values);
  return values[POINTS];
}

const VALUES = new Array(NET.length + 1).fill(null);

/** Call `use(points, i)` for each of n raw rows. */
function each(rows, n, use) {
  for (let i = 0; i < n; i++) use(run(VALUES, rows.subarray(i * N_COLUMNS, (i + 1) * N_COLUMNS)), i);
}

const ENGINE = {
  points(rows, n) {
    const points = new Int32Array(n * N_POINTS);
    each(rows, n, (sums, i) => points.set(sums, i * N_POINTS));
    return points;
  },
  answers(rows, n) {
    const answers = new Float32Array(n * N_ANSWERS);
    each(rows, n, (sums, i) => LINK(sums, answers, i * N_ANSWERS));
    return answers;
  },
};

const MODEL = faceOf(ENGINE);
const modelOf = () => MODEL;
