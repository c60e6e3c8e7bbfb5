// What would change the decision: the nearest one or two changes on the grid of bins, proved nearest.
//
// Around a row the points are those of the row, plus what each changed column adds alone, plus what
// two add together beyond that; with two changes there is nothing else. All three are whole numbers,
// and every pair of columns is looked at, in the order of preference of `explain.counterfactuals`.

const MOST_BEYOND = 4096;

/** How many ways to approval the page shows. */
export const MOST_OPTIONS = 3;

/** Round to twelve decimals, halves to the even one, so that equal costs are equal. */
const rounded = (cost) => (cost * 1e12 + 2 ** 52 - 2 ** 52) / 1e12;

/** Return the bin of a raw value: where several have the same bits, the one that names it. */
function binAt({ bins }, value, bits, ofBins) {
  const isNamed = (bin) => (bin.kind === "missing" ? Number.isNaN(value) : bin.kind !== "range" && bin.value === value);
  const named = bins.findIndex(isNamed);
  return named >= 0 ? named : ofBins.findIndex((inside) => [...inside].every(([i, bit]) => bits[i] === bit));
}

/** Return the bins that a column may move to, nearest first, with what each step costs. */
function choicesOf({ bins, nOrdered }, at, way) {
  const found = [];
  bins.forEach(({ kind }, bin) => {
    const isStep = Math.max(at, bin) < nOrdered;
    if (bin === at || (kind !== "range" && kind !== "category")) return;
    if (way !== undefined && !(isStep && bin > at === (way === "up"))) return;
    found.push({ bin, cost: isStep ? Math.abs(bin - at) / Math.max(1, nOrdered - 1) : 1 });
  });
  return found.sort((a, b) => a.cost - b.cost || a.bin - b.bin);
}

/** Return the bits of each bin of each column: what the encoder says of a value in it. */
function bitsOfBins({ columns, encode }, bitsOf) {
  return columns.map(({ bins }, j) =>
    bins.map(({ value }) => {
      const row = new Float32Array(columns.length).fill(NaN);
      row[j] = value ?? NaN;
      const bits = bitsOf(row);
      return new Map(encode.column.flatMap((c, i) => (c === j ? [[i, bits[i]]] : [])));
    }),
  );
}

/** Return the model on its grid: direct points of each bin, and of each rule where its columns hold. */
function gridOf(facts, bitsOf) {
  const { direct, literals, starts, weights } = facts.form;
  const bits = bitsOfBins(facts, bitsOf);
  const points = bits.map((bins) => bins.map((inside) => [...inside].reduce((sum, [i, bit]) => sum + bit * direct[i], 0)));
  const rules = weights.map((weight, r) => {
    const holds = new Map();
    for (const literal of literals.slice(starts[r], starts[r + 1])) {
      const [i, negated] = [literal >> 1, literal & 1];
      const j = facts.encode.column[i];
      const before = holds.get(j) ?? bits[j].map(() => true);
      holds.set(j, bits[j].map((inside, b) => before[b] && inside.get(i) !== negated));
    }
    return { weight, holds };
  });
  return { bits, points, rules };
}

/** What single columns and pairs add around one row. */
function around({ points, rules }, at) {
  const single = points.map((ofBins, j) => ofBins.map((n) => n - ofBins[at[j]]));
  const together = new Map();
  for (const { weight, holds } of rules) {
    const failing = [...holds.keys()].filter((j) => !holds.get(j)[at[j]]);
    if (failing.length > 2) continue;
    const read = [...holds.keys()].sort((a, b) => a - b);
    for (const j of read)
      if (failing.every((other) => other === j)) {
        const held = holds.get(j);
        held.forEach((is, b) => (single[j][b] += weight * (is - held[at[j]])));
      }
    for (let a = 0; a < read.length; a++)
      for (let b = a + 1; b < read.length; b++)
        if (failing.every((j) => j === read[a] || j === read[b])) {
          const key = `${read[a]},${read[b]}`;
          if (!together.has(key)) together.set(key, []);
          together.get(key).push({ weight, one: holds.get(read[a]), two: holds.get(read[b]) });
        }
  }
  const beyond = (i, j, bi, bj) => {
    let sum = 0;
    for (const { weight, one, two } of together.get(`${i},${j}`) ?? [])
      sum += weight * (one[bi] - one[at[i]]) * (two[bj] - two[at[j]]);
    return sum;
  };
  return { single, beyond };
}

/** Order by cost, then by the places of the bins in their lists. */
const before = (a, b) => a.cost - b.cost || a.picks[0] - b.picks[0] || (a.picks[1] ?? 0) - (b.picks[1] ?? 0);

/** Return the nearest of some candidates, or none. */
const first = (candidates) => [...candidates].sort(before).slice(0, 1);

function singles(choices, { single }, gap) {
  return choices.flatMap(({ column, bins }) => {
    const reaching = bins.flatMap(({ bin, cost }, pick) => (single[column][bin] >= gap ? [{ cost: rounded(cost), picks: [pick], columns: [column], bins: [bin], added: single[column][bin] }] : []));
    return first(reaching);
  });
}

function pairs(choices, { single, beyond }, gap) {
  const found = [];
  for (let a = 0; a < choices.length; a++)
    for (let b = a + 1; b < choices.length; b++) {
      const [i, j] = [choices[a].column, choices[b].column];
      const reaching = [];
      choices[a].bins.forEach((one, p) =>
        choices[b].bins.forEach((two, q) => {
          const added = single[i][one.bin] + single[j][two.bin] + beyond(i, j, one.bin, two.bin);
          if (added >= gap) reaching.push({ cost: rounded(one.cost + two.cost), picks: [p, q], columns: [i, j], bins: [one.bin, two.bin], added });
        }),
      );
      found.push(...first(reaching));
    }
  return found;
}

/** Whether going further the same ways, in any combination, reaches the target too. */
function isOpen({ columns }, { single, beyond }, at, { columns: moved, bins }, gap) {
  const ways = moved.map((j, k) => {
    const [bin, { nOrdered, bins: all }] = [bins[k], columns[j]];
    if (Math.max(at[j], bin) >= nOrdered || all[bin].kind !== "range") return [bin];
    const places = Array.from({ length: nOrdered }, (_, b) => b);
    return places.filter((b) => (bin > at[j] ? b >= bin : b <= bin));
  });
  if (ways.reduce((n, way) => n * way.length, 1) > MOST_BEYOND) return false;
  const [i, j] = moved;
  return ways[0].every((one) => (ways[1] ?? [null]).every((two) => single[i][one] + (two === null ? 0 : single[j][two] + beyond(i, j, one, two)) >= gap));
}

const grids = new WeakMap();

/**
 * Return up to `n` nearest changes that reach approval: fewest columns, then least cost, then the
 * first columns, then the first bins; none changes all columns of another, and more.
 */
export function nearest(facts, explainer, row, n) {
  const bits = explainer.bitsOf(row);
  const points = explainer.points(bits);
  const gap = facts.rules.approval - points;
  if (gap <= 0) return [];
  if (!grids.has(facts)) grids.set(facts, gridOf(facts, explainer.bitsOf));
  const grid = grids.get(facts);
  const at = facts.columns.map((column, j) => binAt(column, row[j], bits, grid.bits[j]));
  const parts = around(grid, at);
  const { immutable, oneWay } = facts.rules;
  const choices = facts.columns.flatMap((column, j) => {
    if (immutable.includes(column.name)) return [];
    const way = Object.hasOwn(oneWay, column.name) ? oneWay[column.name] : undefined;
    const bins = choicesOf(column, at[j], way);
    return bins.length ? [{ column: j, bins }] : [];
  });
  const found = singles(choices, parts, gap);
  const alone = new Set(found.map(({ columns }) => columns[0]));
  if (found.length < n) found.push(...pairs(choices.filter(({ column }) => !alone.has(column)), parts, gap));
  found.sort((a, b) => a.columns.length - b.columns.length || a.cost - b.cost || a.columns[0] - b.columns[0] || (a.columns[1] ?? 0) - (b.columns[1] ?? 0));
  return found.slice(0, n).map((one) => {
    const open = isOpen(facts, parts, at, one, gap);
    const changes = one.columns.map((column, k) => ({ column, bin: one.bins[k], isOpen: open && isStep(facts.columns[column], at[column], one.bins[k]), isUp: one.bins[k] > at[column] }));
    return { changes, points: points + one.added };
  });
}

/** Return the first proof whose changes come out otherwise, in words, or null. */
export function firstOtherChange(facts, explainer) {
  const { rows, changes } = facts.proofs;
  for (let i = 0; i < changes.length; i++) {
    const row = Float32Array.from(rows[i], (x) => x ?? NaN);
    const came = nearest(facts, explainer, row, MOST_OPTIONS).map((one) => [
      one.changes.map(({ column }) => facts.columns[column].name),
      one.changes.map(({ column, bin }) => facts.columns[column].bins[bin].plain),
      one.points,
    ]);
    if (JSON.stringify(came) !== JSON.stringify(changes[i])) return `row ${i} has other ways to approval than expected`;
  }
  return null;
}

const isStep = ({ bins, nOrdered }, at, to) => Math.max(at, to) < nOrdered && bins[to].kind === "range";
