// What stands out of its pixel by top / bottom standard deviations, in whole numbers only.

/**
 * Return the sum of squares exactly. Squares of 31 bits leave float64's 53: each is taken apart into
 * high and low 16 bits, whose products stay below 2 ** 48 summed over a pixel (n * x < 2 ** 31).
 */
function sumOfSquares(pixel) {
  let [high, middle, low] = [0, 0, 0];
  for (const x of pixel) {
    const [a, b] = [Math.abs(x) >>> 16, Math.abs(x) & 0xffff];
    high += a * a;
    middle += a * b;
    low += b * b;
  }
  return (BigInt(high) << 32n) + (BigInt(middle) << 17n) + BigInt(low);
}

/** Return the least d >= 0 with bottom**2 * d**2 >= right; the first guess is off by little. */
function leastDeviation(bottom, right) {
  let d = Math.ceil(Math.sqrt(Number(right)) / bottom);
  const reaches = (x) => BigInt(bottom * bottom) * BigInt(x) * BigInt(x) >= right;
  while (d > 0 && reaches(d - 1)) d--;
  while (!reaches(d)) d++;
  return d;
}

/** Ints to bits, pixel by pixel: d = n * x - sum is at least the least deviation that fires. */
function rowThreshold(input, nPixels, n, top, bottom) {
  const most = Math.floor((2 ** 31 - 1) / n);
  const out = new Int32Array(wordsOf(nPixels * n));
  const pixel = new Int32Array(n);
  return (values) => {
    out.fill(0);
    for (let p = 0; p < nPixels; p++) {
      let sum = 0;
      for (let c = 0; c < n; c++) {
        pixel[c] = Math.min(Math.max(values[input][p * n + c], -most), most);
        sum += pixel[c];
      }
      let least = 0;
      if (top > 0) {
        const q = BigInt(n) * sumOfSquares(pixel) - BigInt(sum) * BigInt(sum);
        least = q > 0n ? leastDeviation(bottom, BigInt(top * top) * q) : Infinity;
      }
      for (let c = 0, i = p * n; c < n; c++, i++) if (n * pixel[c] - sum >= least) out[i >> 5] |= 1 << (i & 31);
    }
    return out;
  };
}
