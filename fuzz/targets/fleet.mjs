// What a fleet reads that others may have written: jobs of a queue, records of a bucket, locations. Structured: bytes choose
// fields, names and values, sound ones and hostile ones, and the id may be the right one.

import { parseFailure } from "../../dist/fleet/failure.js";
import { parseJob } from "../../dist/fleet/job.js";
import { isPlainKey, isWithin, parseLocation } from "../../dist/node/objects/location.js";
import { performJob } from "../../dist/fleet/perform.js";
import { readRecord } from "../../dist/fleet/records.js";
import { choices } from "../choices.mjs";
import { asyncOutcome, expect, outcome, target } from "../contract.mjs";

const ROOTS = { sources: [parseLocation("s3://in/a")], targets: [parseLocation("s3://out")] };
const ID = `j${"0".repeat(31)}`;
const PARTS = [
  "a",
  "b",
  "adapter",
  "..",
  ".",
  "",
  "/",
  "\\",
  "\u0000",
  "\n",
  "é",
  "\ud800",
  ".lqa-fleet",
  "x".repeat(250),
  "s3:",
  "~",
  "%2e%2e",
];
const LOCATIONS = [
  "s3://in/a",
  "s3://out",
  "s3://in",
  "s3://",
  "s3:///",
  "/tmp",
  "file:///etc",
  "S3://in/a",
  "redis://x",
  "s3://in/a/../b",
  "s3://in/ab",
  "",
];
const ODD = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e308,
  2 ** 53,
  "",
  "x",
  [],
  {},
  [[]],
  "__proto__",
  { toString: 1 },
  "\u202e",
  "j".repeat(1000),
];
const SETTINGS = {
  bits: [1.5, 0, -1, "2"],
  quality: ["high", "no", 1],
  profile: ["rd", "loraquant", "raw", "constructor"],
  variant: ["2@0.8", "9@9", "2@".repeat(20)],
  group: [128, 3],
  alignment: [64, 5, -8],
  from: ["peft", "toString"],
  alpha: [8, null],
  force: [true, 1],
  calibration: ["/etc/passwd"],
  scratch: ["/"],
  workers: [64],
  executor: [{}],
  constructor: [{}],
};

/** A path of a few parts. */
const path = (from) =>
  Array.from({ length: 1 + from.below(3) }, () => from.pick(PARTS)).join(from.pick(["/", "/", ""]));
const location = (from) => from.pick(LOCATIONS) + (from.below(2) ? `/${path(from)}` : "");
const file = (from) => {
  const sound = [
    from.pick(["a/adapter_config.json", "a/x.safetensors", path(from)]),
    from.pick([0, 1, 100, -1, 2 ** 50, 0.5]),
    from.pick(['"1"', "", "\r\nx: y", "é"]),
  ];
  return from.below(8) ? sound : from.pick([...ODD, sound.slice(0, 2), [...sound, 1]]);
};

/** A job, most of it sound. */
function job(from) {
  const fields = {
    source: from.below(4) ? "s3://in/a" : location(from),
    target: from.below(4) ? "s3://out/x" : location(from),
    name: from.below(4) ? "a" : path(from),
    files: Array.from({ length: from.below(8) ? 1 + from.below(3) : from.below(100) }, () => file(from)),
    settings: {},
  };
  for (let count = from.below(4); count > 0; count--) {
    const name = from.pick(Object.keys(SETTINGS));
    fields.settings[name] = from.pick(SETTINGS[name]);
  }
  while (from.more() && from.below(4) === 0)
    fields[from.pick([...Object.keys(fields), "more", "id"])] = from.pick(ODD);
  return fields;
}

/** With the id that it asks for, if that is all that is wrong. */
function withId(fields) {
  const { error } = outcome(() => parseJob({ id: ID, text: JSON.stringify({ ...fields, id: ID }) }));
  const id = /id (j[0-9a-f]{31})/.exec(String(error?.message))?.[1] ?? ID;
  return { id, text: JSON.stringify({ ...fields, id }) };
}

/** Empty stores that record where they were opened and which objects were requested. */
function stores(opened, keys) {
  const asked = (key) => void keys.push(key);
  return {
    async open(at) {
      opened.push(at);
      return {
        location: at,
        head: async (key) => asked(key),
        read: async (key) => asked(key),
        put: async (key) => {
          asked(key);
          return "written";
        },
        digest: async (key) => asked(key),
        remove: async (key) => asked(key),
        close: async () => {},
      };
    },
    async close() {},
  };
}

async function work(entry) {
  const [opened, keys] = [[], []];
  const place = {
    stores: stores(opened, keys),
    allowed: ROOTS,
    scratch: undefined,
    isAbandoned: () => false,
  };
  const verdict = await performJob(entry, { last: true }, place);
  expect(verdict.kind === "dead", `a job of nothing ends as ${verdict.kind}`);
  expect(verdict.failure.kind !== "INTERNAL", verdict.failure.message);
  const all = [...ROOTS.sources, ...ROOTS.targets];
  for (const at of opened)
    expect(
      all.some((root) => isWithin(parseLocation(at), root)),
      `opened ${at}`,
    );
  for (const key of keys) expect(isPlainKey(key), `asked for ${JSON.stringify(key)}`);
  const { value } = outcome(() => parseJob(entry));
  expect(value !== undefined || opened.length === 0, "a store of an entry that is no job");
}

export const grows = true;

export const fuzz = target(async (input, variant) => {
  const text = new TextDecoder().decode(input);
  switch (variant & 3) {
    case 0: {
      const { error } = outcome(() => parseJob({ id: ID, text }));
      expect(error === undefined || error.kind === "JOB_INVALID", `${error?.kind} for an entry`);
      outcome(() => parseFailure(text));
      break;
    }
    case 1: {
      const store = { location: "s3://x", read: async () => input };
      const key = ".lqa-fleet/records/a.json";
      const { value } = await asyncOutcome(() => readRecord(store, key));
      if (value?.state === "done")
        expect(value.name === "a" && Number.isSafeInteger(value.outputBytes), "a record of something else");
      break;
    }
    case 2: {
      const { value } = outcome(() => parseLocation(text));
      if (value !== undefined)
        expect(
          !value.parts.some((part) => ["", ".", ".."].includes(part)),
          "a location that leads elsewhere",
        );
      break;
    }
    default:
      await work(withId(job(choices(input))));
  }
});
