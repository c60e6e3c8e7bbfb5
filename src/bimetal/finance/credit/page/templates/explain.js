// Why this score: the points and their exact Shapley values, in whole numbers below 2 ** 53.
//
// A score is bias + points of bits + points of rules, and a rule is a conjunction. Against one
// reference row, let n players make a rule true that the reference makes false, and m the other way
// round; if some player makes it false in both, nobody gets anything. Otherwise each of the n gets
// w (n - 1)! m! / (n + m)! and each of the m gets -w n! (m - 1)! / (n + m)!. All is kept over one
// denominator, so that these are the same whole numbers as in Python.

const GE = 0;
const EQ = 1;

/** Return the encoder of a model: raw row (a Float32Array, NaN where missing) to bits. */
export function encoderOf({ column, kind, value, special_column: specialColumn, special_value: specialValue }) {
  return (row) => {
    const regular = Float32Array.from(row);
    specialColumn.forEach((c, i) => {
      if (row[c] === specialValue[i]) regular[c] = NaN;
    });
    return Uint8Array.from(column, (c, i) => {
      if (kind[i] === GE) return regular[c] >= value[i] ? 1 : 0;
      return (kind[i] === EQ ? row[c] === value[i] : Number.isNaN(row[c])) ? 1 : 0;
    });
  };
}

/** Whether a literal, 2 * bit + negated, holds. */
const literalHolds = (bits, literal) => bits[literal >> 1] !== (literal & 1);

/** Whether rule r holds: whether all its literals do. */
function ruleHolds({ literals, starts }, bits, r) {
  for (let i = starts[r]; i < starts[r + 1]; i++) if (!literalHolds(bits, literals[i])) return false;
  return true;
}

/** Return the points of encoded bits. */
export function pointsOf(form, bits) {
  let points = form.bias;
  form.direct.forEach((weight, i) => {
    if (bits[i]) points += weight;
  });
  form.weights.forEach((weight, r) => {
    if (ruleHolds(form, bits, r)) points += weight;
  });
  return points;
}

/** Return 1 / ((n + m) * choose(n + m - 1, m)) over `denominator`: the share of one of n players. */
function shareOf(n, m, denominator) {
  let times = n + m;
  for (let i = 1; i <= m; i++) times = (times * (n - 1 + i)) / i;
  return denominator / times;
}

/** Return, for each rule, its players and the literals of each. */
function partsOf({ literals, starts, weights }, playerOfBit) {
  return weights.map((_, r) => {
    const parts = new Map();
    for (const literal of literals.slice(starts[r], starts[r + 1])) {
      const player = playerOfBit[literal >> 1];
      parts.set(player, [...(parts.get(player) ?? []), literal]);
    }
    return [...parts];
  });
}

/**
 * Return the explainer of a model. Its `contributions(row)` are one numerator for each player over
 * `denominator`: what set this row's points apart from the mean of the references.
 */
export function explainerOf({ encode, form, players, references, denominator }) {
  const bitsOf = encoderOf(encode);
  const playerOfColumn = new Map(players.flatMap(({ columns }, p) => columns.map((c) => [c, p])));
  const playerOfBit = encode.column.map((c) => playerOfColumn.get(c));
  const parts = partsOf(form, playerOfBit);
  const referenceBits = references.map((row) => bitsOf(row.map((x) => x ?? NaN)));
  const unit = denominator / references.length;
  const base = referenceBits.reduce((sum, bits) => sum + unit * pointsOf(form, bits), 0);

  const addDirect = (numerators, bits, reference) => {
    form.direct.forEach((weight, i) => {
      numerators[playerOfBit[i]] += unit * weight * (bits[i] - reference[i]);
    });
  };
  const addRule = (numerators, r, bits, reference) => {
    const [mine, theirs] = [[], []];
    for (const [player, literals] of parts[r]) {
      const here = literals.every((literal) => literalHolds(bits, literal));
      const there = literals.every((literal) => literalHolds(reference, literal));
      if (!here && !there) return;
      if (here && !there) mine.push(player);
      if (there && !here) theirs.push(player);
    }
    const [n, m, weight] = [mine.length, theirs.length, form.weights[r]];
    for (const player of mine) numerators[player] += weight * shareOf(n, m, unit);
    for (const player of theirs) numerators[player] -= weight * shareOf(m, n, unit);
  };
  const contributions = (row) => {
    const [bits, numerators] = [bitsOf(row), new Array(players.length).fill(0)];
    for (const reference of referenceBits) {
      addDirect(numerators, bits, reference);
      for (let r = 0; r < form.weights.length; r++) addRule(numerators, r, bits, reference);
    }
    return numerators;
  };
  return { bitsOf, contributions, base, denominator, points: (bits) => pointsOf(form, bits) };
}

/** Return the players that cost most, the worst first: below 0, at most `most`, ties in their order. */
export function principalReasons(numerators, most) {
  const order = numerators.map((_, p) => p).filter((p) => numerators[p] < 0);
  return order.sort((a, b) => numerators[a] - numerators[b] || a - b).slice(0, most);
}

/** Return the decision for points: whole numbers, one comparison or two. */
export function decide({ cutoff, refer }, points) {
  if (refer !== null && refer[0] <= points && points < refer[1]) return "refer";
  return points >= cutoff ? "approve" : "decline";
}

/**
 * Return what does not agree, or null: each proof is a row with its points and contributions from
 * Python, and the scorer must give the same points by its own way.
 */
export function firstDisagreement(explainer, scorer, { rows, points, numerators, base }) {
  if (explainer.base !== base) return `the mean of the references is ${explainer.base}, expected ${base}`;
  for (let i = 0; i < rows.length; i++) {
    const row = Float32Array.from(rows[i], (x) => x ?? NaN);
    const came = [scorer.points(row)[0], explainer.points(explainer.bitsOf(row))];
    if (came.some((n) => n !== points[i])) return `row ${i} has ${came} points, expected ${points[i]}`;
    const parts = explainer.contributions(row);
    if (parts.some((n, p) => n !== numerators[i][p])) return `row ${i} has contributions ${parts}, expected ${numerators[i]}`;
  }
  return null;
}
