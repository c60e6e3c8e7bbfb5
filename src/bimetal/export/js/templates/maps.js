// The operations on maps: pixels in rows, channels within a pixel. Every float is rounded to float32
// by Math.fround after each single step; every sum of ints wraps around at 32 bits.

const { fround } = Math;

/** Call `use(window, y, x, tap)` for each tap of each window that lies on the map. */
function eachTap({ shape, kernel, stride, dilation = [1, 1], padding }, use) {
  const [height, width] = outSize(shape, kernel, stride, dilation, padding);
  for (let w = 0; w < height * width; w++)
    for (let tap = 0; tap < kernel[0] * kernel[1]; tap++) {
      const v = Math.floor(tap / kernel[1]);
      const y = Math.floor(w / width) * stride[0] + v * dilation[0] - padding[0];
      const x = (w % width) * stride[1] + (tap - v * kernel[1]) * dilation[1] - padding[1];
      if (y >= 0 && y < shape[0] && x >= 0 && x < shape[1]) use(w, y * shape[1] + x, tap);
    }
}

/** Return the height and width of what windows make of a map. */
function outSize(shape, kernel, stride, dilation, padding) {
  return [0, 1].map(
    (i) => Math.floor((shape[i] + padding[i] + padding[i + 2] - dilation[i] * (kernel[i] - 1) - 1) / stride[i]) + 1,
  );
}

/** How many windows there are. */
const nWindows = ({ shape, kernel, stride, dilation = [1, 1], padding }) => {
  const [height, width] = outSize(shape, kernel, stride, dilation, padding);
  return height * width;
};

/** Return where the pixels of windows lie: [window, pixel, tap] triples, one after another. */
function tapsOf(form) {
  const taps = [];
  eachTap(form, (...triple) => taps.push(...triple));
  return Int32Array.from(taps);
}

/** Set the bits of ints that are at least 0. */
function signs(sums, out) {
  out.fill(0);
  for (let i = 0; i < sums.length; i++) if (sums[i] >= 0) out[i >> 5] |= 1 << (i & 31);
  return out;
}

/** Numbers to bytes: x * scale + offset, rounded, halves to the even one; NaN gives 0. */
function quantize(input, n, scale, offset) {
  const out = new Uint8Array(n);
  const HALF = 6755399441055744; // 1.5 * 2 ** 52: a sum with it has no room for a fraction
  return (values) => {
    for (let i = 0; i < n; i++) {
      const c = i % scale.length;
      const t = fround(fround(values[input][i] * scale[c]) + offset[c]);
      out[i] = !(t > 0) ? 0 : t >= 255 ? 255 : t + HALF - HALF;
    }
    return out;
  };
}

/** Bytes to bits: (x & mask) >= level. */
function planes(input, nPixels, channels, channel, mask, level) {
  const out = new Int32Array(wordsOf(nPixels * channel.length));
  return (values) => {
    out.fill(0);
    for (let p = 0, i = 0; p < nPixels; p++)
      for (let o = 0; o < channel.length; o++, i++)
        if ((values[input][p * channels + channel[o]] & mask[o]) >= level[o]) out[i >> 5] |= 1 << (i & 31);
    return out;
  };
}

/**
 * A convolution of bits, counted as +1 and -1. The window of a group is packed into words and held
 * against all weights; `seen` has the bits that count, which are not all when the border is 0.
 */
function conv(input, form, makesBits, pad, groups, weights, bias) {
  const cIn = form.shape[2] / groups;
  const k = form.kernel[0] * form.kernel[1] * cIn;
  const [n, nOut, taps] = [wordsOf(k), bias.length, tapsOf(form)];
  const sums = new Int32Array(nWindows(form) * nOut);
  const out = new Int32Array(wordsOf(sums.length));
  const [bits, seen] = [new Int32Array(n), new Int32Array(n)];
  const gather = (x, g, at, window) => {
    bits.fill(0);
    seen.fill(0);
    for (; taps[at] === window; at += 3)
      for (let c = 0; c < cIn; c++) {
        const i = taps[at + 2] * cIn + c;
        seen[i >> 5] |= 1 << (i & 31);
        bits[i >> 5] |= bitOf(x, taps[at + 1] * form.shape[2] + g * cIn + c) << (i & 31);
      }
    return at;
  };
  const outside = () => {
    let nSeen = 0;
    for (let w = 0; w < n; w++) {
      nSeen += popcount(seen[w]);
      if (pad > 0) bits[w] |= ~seen[w];
    }
    if (k & 31) bits[n - 1] &= (1 << (k & 31)) - 1;
    if (pad === 0) return nSeen;
    seen.fill(-1);
    return k;
  };
  return (values) => {
    for (let g = 0; g < groups; g++)
      for (let window = 0, at = 0; window < nWindows(form); window++) {
        at = gather(values[input], g, at, window);
        const nSeen = outside();
        for (let o = (g * nOut) / groups; o < ((g + 1) * nOut) / groups; o++) {
          let wrong = 0;
          for (let w = 0; w < n; w++) wrong += popcount((weights[o * n + w] ^ bits[w]) & seen[w]);
          sums[window * nOut + o] = bias[o] + nSeen - 2 * wrong;
        }
      }
    return makesBits ? signs(sums, out) : sums;
  };
}

/** A convolution of bytes with whole numbers; outside the map a channel counts as its `pad`. */
function byteConv(input, form, makesBits, groups, pad, weights, bias) {
  const channels = form.shape[2];
  const cIn = channels / groups;
  const nTaps = form.kernel[0] * form.kernel[1];
  const [nOut, taps] = [bias.length, tapsOf(form)];
  const sums = new Int32Array(nWindows(form) * nOut);
  const out = new Int32Array(wordsOf(sums.length));
  const patch = new Uint8Array(nTaps * channels);
  return (values) => {
    for (let window = 0, at = 0; window < nWindows(form); window++) {
      for (let tap = 0; tap < nTaps; tap++) patch.set(pad, tap * channels);
      for (; taps[at] === window; at += 3)
        for (let c = 0; c < channels; c++)
          patch[taps[at + 2] * channels + c] = values[input][taps[at + 1] * channels + c];
      for (let o = 0; o < nOut; o++) {
        const first = Math.floor((o * groups) / nOut) * cIn;
        let sum = bias[o];
        for (let tap = 0, i = o * nTaps * cIn; tap < nTaps; tap++)
          for (let c = 0; c < cIn; c++, i++) sum += weights[i] * patch[tap * channels + first + c];
        sums[window * nOut + o] = sum;
      }
    }
    return makesBits ? signs(sums, out) : sums;
  };
}

/** Read element i of a value as a number; bits as `zero` and 1. */
const reader = (isBits, zero) => (isBits ? (x, i) => (bitOf(x, i) ? 1 : zero) : (x, i) => x[i]);

/** The largest of a window: the first on the map, replaced by each later one that is larger. */
function maxPool(input, form, Type, isBits) {
  const [channels, taps, n] = [form.shape[2], tapsOf(form), nWindows(form) * form.shape[2]];
  const best = new Type(n);
  const out = new Int32Array(wordsOf(n));
  const read = reader(isBits, 0);
  return (values) => {
    for (let at = 0, last = -1; at < taps.length; last = taps[at], at += 3)
      for (let c = 0; c < channels; c++) {
        const x = read(values[input], taps[at + 1] * channels + c);
        const i = taps[at] * channels + c;
        if (taps[at] !== last || x > best[i]) best[i] = x;
      }
    if (!isBits) return best;
    out.fill(0);
    for (let i = 0; i < n; i++) out[i >> 5] |= best[i] << (i & 31);
    return out;
  };
}

/** The sum of a window: ints wrap around, floats are rounded after each addition, from 0 on. */
function sumPool(input, form, Type, isBits) {
  const [channels, taps] = [form.shape[2], tapsOf(form)];
  const sums = new Type(nWindows(form) * channels);
  const read = reader(isBits, -1);
  return (values) => {
    sums.fill(0);
    for (let at = 0; at < taps.length; at += 3)
      for (let c = 0; c < channels; c++)
        sums[taps[at] * channels + c] += read(values[input], taps[at + 1] * channels + c);
    return sums;
  };
}

/** Ints or floats to bits: (x >= threshold) !== flip. */
function threshold(input, n, thresholds, flips) {
  const out = new Int32Array(wordsOf(n));
  return (values) => {
    out.fill(0);
    for (let i = 0; i < n; i++) {
      const c = i % thresholds.length;
      if (values[input][i] >= thresholds[c] !== (flips[c] === 1)) out[i >> 5] |= 1 << (i & 31);
    }
    return out;
  };
}

/** x * scale + offset, each step rounded; an int is first rounded to float32. */
function affine(input, n, scale, offset) {
  const out = new Float32Array(n);
  return (values) => {
    for (let i = 0; i < n; i++) {
      const c = i % scale.length;
      out[i] = fround(fround(values[input][i]) * scale[c]) + offset[c];
    }
    return out;
  };
}

/** t = x - before, or slope times that where it is below 0 (or NaN); then + after. */
function prelu(input, n, before, slope, after) {
  const out = new Float32Array(n);
  return (values) => {
    for (let i = 0; i < n; i++) {
      const c = i % slope.length;
      const t = fround(values[input][i] - before[c]);
      out[i] = (t >= 0 ? t : fround(slope[c] * t)) + after[c];
    }
    return out;
  };
}

/** Element by element, from left to right; the typed array rounds, or wraps, each sum. */
function add(inputs, n, Type) {
  const out = new Type(n);
  return (values) => {
    out.set(values[inputs[0]]);
    for (const j of inputs.slice(1)) for (let i = 0; i < n; i++) out[i] += values[j][i];
    return out;
  };
}

/** The channels of each pixel side by side. */
function concat(inputs, channels, nPixels, Type, isBits) {
  const width = channels.reduce((a, b) => a + b);
  const out = new Type(isBits ? wordsOf(nPixels * width) : nPixels * width);
  const write = isBits ? (i, x) => (out[i >> 5] |= x << (i & 31)) : (i, x) => (out[i] = x);
  const read = reader(isBits, 0);
  return (values) => {
    if (isBits) out.fill(0);
    inputs.forEach((input, j) => {
      const start = channels.slice(0, j).reduce((a, b) => a + b, 0);
      for (let i = 0; i < nPixels * channels[j]; i++) {
        const p = Math.floor(i / channels[j]);
        write(p * width + start + i - p * channels[j], read(values[input], i));
      }
    });
    return out;
  };
}
