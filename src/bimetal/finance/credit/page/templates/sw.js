// Keeps one whole version of the page for use without a network: the one of one model's file. A new
// version is taken when every file of it arrived as it was written, and used when it is asked for.

const CACHE = "/*CACHE*/";
const PREFIX = "bimetal-credit-";
const SCOPE = new URL("./", self.location.href).pathname;
const NAME = `${PREFIX}${SCOPE}-${CACHE}`;
const FILES = new Map(/*FILES*/);

const hexOf = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Fetch a file past every cache, and refuse it unless its bytes are those that were written. */
async function fetched(path, digest) {
  const response = await fetch(new URL(path, self.location.href), { cache: "reload" });
  const body = await response.arrayBuffer();
  const came = hexOf(await crypto.subtle.digest("SHA-256", body));
  if (!response.ok || came !== digest) throw new Error(`${path} is not the file of this version`);
  return new Response(body, { headers: response.headers }); // one that is no redirection
}

async function install() {
  const responses = await Promise.all([...FILES].map(([path, digest]) => fetched(path, digest)));
  const cache = await caches.open(NAME);
  await Promise.all([...FILES.keys()].map((path, i) => cache.put(new URL(path, self.location.href), responses[i])));
}

async function removeOthers() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(`${PREFIX}${SCOPE}-`) && name !== NAME);
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.clients.claim();
}

/** Return the file of this version that a request asks for, or undefined. */
function kept(request) {
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== self.location.origin || !pathname.startsWith(SCOPE)) return undefined;
  const path = pathname.slice(SCOPE.length) || "index.html";
  return FILES.has(path) ? new URL(path, self.location.href) : undefined;
}

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(removeOthers()));
self.addEventListener("message", ({ data }) => {
  if (data === "take over") self.skipWaiting();
});
self.addEventListener("fetch", (event) => {
  const url = kept(event.request);
  if (url === undefined) return;
  const answer = async () => (await (await caches.open(NAME)).match(url)) ?? fetch(event.request);
  event.respondWith(answer());
});
