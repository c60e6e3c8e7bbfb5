// The operations on rows of a table. Bits stand in 32-bit words, least significant first; bits beyond
// the end of a row are 0. Each function is given its constants once and returns the step that makes a
// value of earlier values; the buffers are its own and are written anew by the next row.

const u8 = (text) => numbers(Uint8Array, text);
const i8 = (text) => numbers(Int8Array, text);
const u16 = (text) => numbers(Uint16Array, text);
const i16 = (text) => numbers(Int16Array, text);
const i32 = (text) => numbers(Int32Array, text);
const f32 = (text) => numbers(Float32Array, text);
const f64 = (text) => numbers(Float64Array, text);

/** Words that hold n bits. */
const wordsOf = (n) => (n + 31) >> 5;

/** Bit i of a row of bits. */
const bitOf = (bits, i) => (bits[i >> 5] >>> (i & 31)) & 1;

/** Decode rows of k bits, each packed into bytes, as rows of 32-bit words. */
function packed(k, text) {
  const bytes = u8(text);
  const perRow = (k + 7) >> 3;
  const words = new Int32Array((bytes.length / perRow) * wordsOf(k));
  for (let i = 0; i < bytes.length; i++) {
    const row = Math.floor(i / perRow);
    const at = i - row * perRow;
    words[row * wordsOf(k) + (at >> 2)] |= bytes[i] << (8 * (at & 3));
  }
  return words;
}

/** Copy n bits from bit `from` on into `out`, from bit 0 on. */
function slice(bits, from, n, out) {
  const shift = from & 31;
  for (let w = 0; w < wordsOf(n); w++) {
    const at = (from >> 5) + w;
    out[w] = shift ? (bits[at] >>> shift) | (bits[at + 1] << (32 - shift)) : bits[at];
  }
  if (n & 31) out[wordsOf(n) - 1] &= (1 << (n & 31)) - 1;
  return out;
}

/** Count the bits of one word, in fields of 2, 4 and 8 bits. */
function popcount(x) {
  x -= (x >>> 1) & 0x55555555;
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
  return Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/**
 * Count the bits of four words. A full adder makes of three words the sums and the carries of their
 * bits; a byte then counts at most 16 + 2 * 8, and all four at most 128.
 */
function popcount4(a, b, c, d) {
  const odd = a ^ b;
  let ones = odd ^ c;
  let twos = (a & b) | (odd & c);
  ones -= (ones >>> 1) & 0x55555555;
  d -= (d >>> 1) & 0x55555555;
  twos -= (twos >>> 1) & 0x55555555;
  ones = (ones & 0x33333333) + ((ones >>> 2) & 0x33333333) + (d & 0x33333333) + ((d >>> 2) & 0x33333333);
  twos = (twos & 0x33333333) + ((twos >>> 2) & 0x33333333);
  ones = (ones & 0x0f0f0f0f) + ((ones >>> 4) & 0x0f0f0f0f);
  twos = (twos & 0x0f0f0f0f) + ((twos >>> 4) & 0x0f0f0f0f);
  return Math.imul(ones + (twos << 1), 0x01010101) >>> 24;
}

/** Count where n words of a row of bits differ from the weights that begin at `at`. */
function differ(x, weights, at, n) {
  let count = 0;
  let i = 0;
  for (; i + 3 < n; i += 4, at += 4)
    count += popcount4(
      weights[at] ^ x[i],
      weights[at + 1] ^ x[i + 1],
      weights[at + 2] ^ x[i + 2],
      weights[at + 3] ^ x[i + 3],
    );
  for (; i < n; i++, at++) count += popcount(weights[at] ^ x[i]);
  return count;
}

const GE = 0;
const EQ = 1;

/** The raw row to bits: x >= value, x === value, or x is missing; a special code fails the first. */
function encode(column, kind, value, specialColumn, specialValue) {
  const out = new Int32Array(wordsOf(column.length));
  const copy = new Float32Array(N_COLUMNS);
  return (values) => {
    const row = values[0];
    const regular = specialColumn.length ? copy : row;
    if (regular === copy) copy.set(row);
    specialColumn.forEach((c, i) => {
      if (row[c] === specialValue[i]) regular[c] = NaN;
    });
    out.fill(0);
    for (let i = 0; i < column.length; i++) {
      const x = row[column[i]];
      const holds = kind[i] === GE ? regular[column[i]] >= value[i] : kind[i] === EQ ? x === value[i] : x !== x;
      if (holds) out[i >> 5] |= 1 << (i & 31);
    }
    return out;
  };
}

/** Binary neurons: one fires when at most `thresholds[o]` of its k bits differ from its weights. */
function dense(input, k, groups, weights, thresholds) {
  const n = wordsOf(k);
  const perGroup = thresholds.length / groups;
  const out = new Int32Array(wordsOf(thresholds.length));
  const part = new Int32Array(n);
  return (values) => {
    out.fill(0);
    for (let g = 0; g < groups; g++) {
      const x = groups === 1 ? values[input] : slice(values[input], g * k, k, part);
      for (let o = g * perGroup; o < (g + 1) * perGroup; o++) {
        const over = differ(x, weights, o * n, n) - thresholds[o] - 1; // its sign: a branch would be a coin toss
        out[o >> 5] |= (over >>> 31) << (o & 31);
      }
    }
    return out;
  };
}

/** Rules: one fires when all its literals hold; a literal is 2 * bit + negated. */
function rules(input, literals, fanIn) {
  const out = new Int32Array(wordsOf(fanIn.length));
  return (values) => {
    const x = values[input];
    out.fill(0);
    for (let o = 0, at = 0; o < fanIn.length; at += fanIn[o++]) {
      let j = 0;
      while (j < fanIn[o] && bitOf(x, literals[at + j] >> 1) !== (literals[at + j] & 1)) j++;
      if (j === fanIn[o]) out[o >> 5] |= 1 << (o & 31);
    }
    return out;
  };
}

/** Tables: each output is any function of `fanIn` bits, the first of which counts least. */
function lut(input, fanIn, places, tables) {
  const nOut = places.length / fanIn;
  const perTable = tables.length / nOut;
  const out = new Int32Array(wordsOf(nOut));
  return (values) => {
    const x = values[input];
    out.fill(0);
    for (let o = 0; o < nOut; o++) {
      let address = 0;
      for (let j = 0; j < fanIn; j++) address |= bitOf(x, places[o * fanIn + j]) << j;
      if ((tables[o * perTable + (address >> 3)] >> (address & 7)) & 1) out[o >> 5] |= 1 << (o & 31);
    }
    return out;
  };
}

/** Points: for each output, its bias and the weights of all bits that are 1, of all inputs in order. */
function readout(inputs, sizes, weights, bias) {
  const nIn = weights.length / bias.length;
  const sums = new Int32Array(bias.length);
  return (values) => {
    sums.set(bias);
    for (let j = 0, start = 0; j < inputs.length; start += sizes[j++]) {
      const x = values[inputs[j]];
      for (let w = 0; w < wordsOf(sizes[j]); w++)
        for (let rest = x[w]; rest !== 0; rest &= rest - 1) {
          const i = start + 32 * w + 31 - Math.clz32(rest & -rest);
          for (let c = 0; c < sums.length; c++) sums[c] += weights[c * nIn + i];
        }
    }
    return sums;
  };
}
