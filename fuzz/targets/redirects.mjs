// A web of addresses that redirect to each other as the input says. Nothing is ever sent over http once https was asked,
// the caller's headers and query stay where they belong, and every chain ends.
//
// Each byte of the input is the answer to one request; bytes behind a marker are a Location as they are.
import { httpSource } from "../../dist/core/index.js";
import { asyncOutcome, expect, target } from "../contract.mjs";

const BYTES = Uint8Array.from({ length: 256 }, (_, i) => i);
const SECRET = "s3cr3t";
const HOME = "https://a.example";
const LOCATIONS = [
  "/y",
  "../z?x=1",
  "//b.example/y",
  "https://a.example/x",
  "https://b.example/y",
  "http://a.example/x",
  "HTTP://a.example/",
  "http://b.example/",
  "https://a.example:444/",
  "file:///etc/passwd",
  "javascript:1",
  "https://user:pw@a.example/",
  "https:a.example/y",
  "http:\\\\a.example\\x",
  "\thttps://b.example/\t",
  "?q",
  "#f",
  "",
  "http://[",
  "data:,x",
];
const STATUSES = [301, 302, 303, 307, 308, 300, 304, 305];

export const grows = true;

export const fuzz = target(async (input, variant) => {
  const asked = [];
  let at = 0;
  const fetch = async (url, { headers, redirect }) => {
    expect(redirect === "manual", "redirects are left to the runtime");
    asked.push({ url: new URL(url), headers: new Headers(headers) });
    const code = input[at++] ?? 0;
    if (code === 0)
      return new Response(BYTES.slice(0, 10), { status: 206, headers: { "content-range": "bytes 0-9/256" } });
    const status = STATUSES[code & 7];
    if (code >> 3 === 31) return new Response(null, { status });
    let location = LOCATIONS[(code >> 3) % LOCATIONS.length];
    if (code >> 3 === 30) {
      // The rest of the input, as far as a header may have it.
      const text = [...input.subarray(at, at + 24)].map((byte) => String.fromCharCode(byte)).join("");
      location = text.replace(/[\0\r\n]/g, "");
      at += 24;
    }
    return new Response(null, { status, headers: { location } });
  };
  const start = variant & 1 ? `${HOME.replace("https", "http")}/x` : `${HOME}/x`;
  const headers = { authorization: SECRET, "x-key": SECRET };
  const source = httpSource(`${start}?key=${SECRET}`, { fetch, headers, attempts: 1 });
  const { value, error } = await asyncOutcome(() => source.read(0, 10));
  expect(asked.length <= 6, `${asked.length} requests`);
  expect(error === undefined || !`${error} ${error.where}`.includes(SECRET), "an error shows a secret");
  if (value !== undefined)
    expect(
      value.every((byte, i) => byte === i),
      "other bytes",
    );
  let secure = false;
  let home = true;
  for (const { url, headers } of asked) {
    expect(/^https?:$/.test(url.protocol) && url.username === "", `asked ${url.protocol}`);
    expect(!secure || url.protocol === "https:", "asked over http after https");
    secure ||= url.protocol === "https:";
    home &&= url.origin === new URL(start).origin;
    expect(home === headers.has("x-key") && home === headers.has("authorization"), "headers went elsewhere");
    // A Location that is empty, or a fragment, is the same address.
    expect(!url.search.includes(SECRET) || (home && url.pathname === "/x"), "the query went on");
    expect(headers.get("range") === "bytes=0-9", "the range was lost");
  }
});
