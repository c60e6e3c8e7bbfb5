// From points to answers. Each step is one float64 operation, rounded by itself, as JavaScript's
// numbers are; Math.exp is not used, as no two engines need agree on its last bit.

const EXP_TERMS = [
  1.6059043836821613e-10, 2.08767569878681e-09, 2.505210838544172e-08, 2.755731922398589e-07,
  2.7557319223985893e-06, 2.48015873015873e-05, 0.0001984126984126984, 0.001388888888888889,
  0.008333333333333333, 0.041666666666666664, 0.16666666666666666, 0.5,
  1.0, 1.0,
]; // 1 / i! for i = 13 ... 0
const LOG2_E = 1.4426950408889634;
const LN2_HIGH = 0.6931471803691238;
const LN2_LOW = 1.9082149292705877e-10;
const VIEW = new DataView(new ArrayBuffer(8));

/** Return 2 ** k exactly, for -1022 <= k <= 1023: the exponent of a float64 is written down. */
function powerOfTwo(k) {
  VIEW.setUint32(0, (k + 1023) << 20);
  return VIEW.getFloat64(0);
}

/** Return e ** x for x <= 0: x is k * ln 2 + r, and a polynomial of r is scaled by 2 ** k. */
function exp(x) {
  x = Math.max(x, -700);
  const k = Math.floor(x * LOG2_E + 0.5);
  const r = x - k * LN2_HIGH - k * LN2_LOW;
  let p = EXP_TERMS[0];
  for (let i = 1; i < EXP_TERMS.length; i++) p = p * r + EXP_TERMS[i];
  return p * powerOfTwo(k);
}

/** Give z itself. */
function identity(z, answers, at) {
  for (let c = 0; c < z.length; c++) answers[at + c] = z[c];
}

/** Give [1 - p, p], the larger of the two from 1 / (1 + e), so that neither loses digits. */
function sigmoid(z, answers, at) {
  const e = exp(-Math.abs(z[0]));
  const large = 1 / (1 + e);
  const small = e / (1 + e);
  answers[at] = z[0] >= 0 ? small : large;
  answers[at + 1] = z[0] >= 0 ? large : small;
}

/** Give one probability for each z; the sum is taken from the first to the last. */
function softmax(z, answers, at) {
  let most = z[0];
  for (const x of z) if (x > most) most = x;
  let total = 0;
  for (let c = 0; c < z.length; c++) {
    z[c] = exp(z[c] - most);
    total += z[c];
  }
  for (let c = 0; c < z.length; c++) answers[at + c] = z[c] / total;
}

/** Return the step from points to answers by z = offset + scale * points. */
function scaled(kind, scale, offset) {
  const z = new Float64Array(scale.length);
  return (points, answers, at) => {
    for (let c = 0; c < z.length; c++) z[c] = offset[c] + scale[c] * points[c];
    kind(z, answers, at);
  };
}

/** Return the step from points to [1 - p, p], with p the step of a staircase. */
function table(knots, steps) {
  return (points, answers, at) => {
    let n = 0;
    while (n < knots.length && knots[n] <= points[0]) n++;
    answers[at] = 1 - steps[n];
    answers[at + 1] = steps[n];
  };
}
