// A web server that answers each request as the input says: right, from another file of the same structure, cut, longer,
// whole, with other tags or a wrong Content-Range. What is handed out is always of one file, the one that was pinned.
//
// Each byte of the input is the answer to one request; the variant chooses how the file is read.
import { createHash } from "node:crypto";
import { httpSource, open } from "../../dist/core/index.js";
import { encodeAdapter } from "../../dist/encode/index.js";
import { asyncOutcome, expect, target } from "../contract.mjs";

/** Above 64 KiB, so that the end of the file takes a request of its own. */
const FILES = await Promise.all([1, 2].map(fileOf));
const KNOWN = await Promise.all(
  FILES.map(async (bytes) => {
    const file = await open(bytes);
    const modules = new Map();
    for await (const { record, factors } of file.packedAll()) modules.set(record.name, hashOf(factors));
    return { id: (await file.storedIds()).fileId, modules };
  }),
);
const QUICK = { attempts: 2, pauseMs: 0, longestPauseMs: 0, wholeBytes: 2 ** 20 };

async function fileOf(seed) {
  let state = seed;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32 - 0.5;
  const floats = (length) => Float32Array.from({ length }, random);
  const modules = Array.from({ length: 12 }, (_, i) => ({
    ...{ name: `layers.${i}.q`, role: "linear", baseLayout: "out-in", kernel: [], groups: 1, experts: 1 },
    ...{
      out: i < 9 ? 600 : 3000,
      in: i < 9 ? 600 : 3000,
      rank: 4,
      alpha: 8,
      multiplier: 2,
      rule: "alpha/r",
    },
    b: floats(4 * (i < 9 ? 600 : 3000)),
    a: floats(4 * (i < 9 ? 600 : 3000)),
  }));
  const adapter = { modules, tensors: [], origin: undefined, meta: { name: "fuzz" } };
  return (await encodeAdapter(adapter, { profile: "rtn", codeBits: 8 })).bytes;
}

function hashOf({ planes }) {
  const hash = createHash("sha256");
  for (const expert of planes)
    for (const band of expert)
      for (const factor of [band.b, band.a])
        for (const plane of [factor.scales, factor.zeroPoints, factor.codes]) hash.update(plane);
  return hash.digest("hex");
}

/** The response that a byte encodes: two bits select the file, the others the fault. */
function answer(code, range) {
  const bytes = FILES[code & 1];
  const etag = code & 2 ? '"v2"' : '"v1"';
  const [first, last] = /^bytes=(\d+)-(\d+)$/.exec(range).slice(1).map(Number);
  const end = Math.min(last + 1, bytes.length);
  const respond = (status, body, headers) => new Response(body, { status, headers: { etag, ...headers } });
  const part = (from, to, total = bytes.length, body = bytes.slice(from, to)) =>
    respond(206, body, { "content-range": `bytes ${from}-${to - 1}/${total}` });
  switch ((code >> 2) & 15) {
    case 1:
      return respond(200, bytes.slice());
    case 2:
      return part(first, end, bytes.length + 1);
    case 3:
      return part(first + 1, end);
    case 4:
      return part(first, end, bytes.length, bytes.slice(first, end - 1));
    case 5:
      return part(first, end, bytes.length, bytes.slice(first, end + 1));
    case 6: {
      const body = bytes.slice(first, end);
      body[body.length >> 1] ^= 1;
      return part(first, end, bytes.length, body);
    }
    case 7:
      return respond(503);
    case 8:
      return respond(416, null, { "content-range": `bytes */${first}` });
    case 9:
      return respond(206, bytes.slice(first, end), { "content-range": "bytes 0-0/1" });
    case 10:
      return respond(200, bytes.slice(0, bytes.length - 1));
    default:
      return part(first, end);
  }
}

const WAYS = [
  async (file, got) => {
    for (const { name } of file.modules) got.set(name, hashOf(await file.packed(name)));
  },
  async (file, got) => {
    for await (const { record, factors } of file.packedAll()) got.set(record.name, hashOf(factors));
  },
  async (file, got) => {
    for await (const event of file.events())
      if (event.type === "module") got.set(event.record.name, hashOf(event.factors));
  },
];

export const grows = true;

export const fuzz = target(async (input, variant) => {
  let requests = 0;
  let sent = 0;
  const fetch = async (_, { headers }) => {
    const response = answer(input[requests++] ?? 0, new Headers(headers).get("range"));
    sent += Number(/-(\d+)$/.exec(new Headers(headers).get("range"))[1]) + 1;
    return response;
  };
  const got = new Map();
  let file;
  const fileId = variant & 64 ? KNOWN[0].id : undefined;
  const options = {
    fileId,
    rangeBytes: 40_000,
    gapBytes: 0,
    ahead: 1 + ((variant >> 2) & 3),
  };
  const { error } = await asyncOutcome(async () => {
    file = await open(httpSource("https://a.example/x.lqa", { ...QUICK, fetch }), options);
    await WAYS[variant % WAYS.length](file, got);
    if (variant & 128) await file.verify();
  });
  expect(requests <= 80 && sent < 2 ** 26, `${requests} requests`);
  if (file === undefined) {
    expect(error !== undefined && got.size === 0, "nothing was opened, and no error was thrown");
    return;
  }
  const { fileId: pinnedId } = await file.storedIds();
  const pinned = KNOWN.find(({ id }) => id === pinnedId);
  expect(pinned !== undefined && every(got, pinned.modules), "modules of two files were handed out");
  expect(fileId === undefined || every(got, KNOWN[0].modules), "another file than the expected one");
  expect(
    error !== undefined || got.size === file.modules.length,
    "modules are missing, and no error was thrown",
  );
});

function every(got, modules) {
  return [...got].every(([name, hash]) => modules.get(name) === hash);
}
