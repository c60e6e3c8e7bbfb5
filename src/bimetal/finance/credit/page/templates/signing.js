// The signed result: lines of plain text, signed by a key that never leaves this device.

const VERSION = "bimetal-credit-result/1";
const ALGORITHM = Object.freeze({ name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" });
const STORE = "keys";

/** Return bytes as base64, some at a time: a call takes only so many arguments. */
export function base64Of(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

const hexOf = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Pack bits into bytes, the least significant first. */
export function packed(bits) {
  const bytes = new Uint8Array(Math.ceil(bits.length / 8));
  bits.forEach((bit, i) => {
    if (bit) bytes[i >> 3] |= 1 << (i & 7);
  });
  return bytes;
}

/** Return the text that is signed: fixed names in a fixed order, the answers in base64. */
export function signedText(result) {
  const names = ["program", "file", "policy", "bits", "points", "decision", "time", "nonce"];
  const lines = [VERSION, ...names.map((name) => `${name}=${result[name]}`)];
  return `${lines.join("\n")}\nvalues=${base64Of(new TextEncoder().encode(result.values))}\n`;
}

/**
 * Return a signed result. `values` is the applicant's answers as JSON text, or "" where he keeps
 * them; the nonce is drawn anew for each result, so that none can be handed in twice.
 */
export async function signedResult(keys, { program, file, policy, bits, points, decision, values }, now) {
  const nonce = hexOf(crypto.getRandomValues(new Uint8Array(16)));
  const said = { version: VERSION, program, file, policy, bits: base64Of(packed(bits)), points, decision };
  const result = { ...said, time: now.toISOString(), nonce, values };
  const text = new TextEncoder().encode(signedText(result));
  const signature = new Uint8Array(await crypto.subtle.sign(ALGORITHM, keys.privateKey, text));
  return { ...result, key: await publicKey(keys), signature: base64Of(signature) };
}

/** Return the public half as a JSON Web Key of its four required members. */
async function publicKey(keys) {
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", keys.publicKey);
  return { kty, crv, x, y };
}

/** Return the name of a key: sha256 over its required members in order (RFC 7638), in base64url. */
export async function thumbprint({ crv, kty, x, y }) {
  const text = new TextEncoder().encode(JSON.stringify({ crv, kty, x, y }));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
  return base64Of(digest).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Make a key whose private half cannot be read out, by this page or any other. */
export const newKeys = () => crypto.subtle.generateKey(ALGORITHM, false, ["sign", "verify"]);

/** Whether this place can sign at all: an address that is not secure has no WebCrypto. */
export const canSign = () => globalThis.crypto?.subtle !== undefined;

/**
 * Return this device's key and whether it is kept: made once and stored in IndexedDB, which keeps
 * the key itself, not its bytes. Where nothing can be stored (a private window), it lives as long
 * as the page.
 */
export async function deviceKeys() {
  try {
    const store = await opened();
    const known = await asked(store.transaction(STORE).objectStore(STORE).get("device"));
    if (known) return { keys: known, isKept: true };
    const keys = await newKeys();
    await asked(store.transaction(STORE, "readwrite").objectStore(STORE).put(keys, "device"));
    return { keys, isKept: true };
  } catch {
    return { keys: await newKeys(), isKept: false };
  }
}

function opened() {
  const request = indexedDB.open("bimetal-credit", 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  return asked(request);
}

/** Return what a request of IndexedDB comes to. */
function asked(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("the store of keys is in use"));
  });
}
