// Attacks by starts (spec clause 8.8): generators that run for longer than the file is, and starts that are none.
import { bytesOf, started } from "./files.mjs";

const STATE_WORDS = 624;
/** Draws of a state that a position counts. */
const STATE_DRAWS = 2 ** 22;
/** Modules with a start, and states, that Core allows. */
const MODULES = 4096;
const STATES = 64;

const seed = { state: 42 };
/** States of zeros, which no generator leaves, and others. */
const states = (word) => ({ state: Uint32Array.from({ length: STATES * STATE_WORDS }, (_, i) => word(i)) });
const many = (start, position, over) =>
  bytesOf({
    modules: Array.from({ length: MODULES }, (_, i) =>
      started(`m${String(i).padStart(4, "0")}`, start, position(i), over),
    ),
  });
const last = (i) => (i % STATES) * STATE_DRAWS + STATE_DRAWS - 1;

/** @param ofSuite a case of the conformance suite; see list.mjs */
export function starts(ofSuite, validating, decoding) {
  return [
    ofSuite("invalid/start/positions-above-hard", "65,537 positions", "HARD_LIMIT", 4, "STARTED_MODULES"),
    ofSuite("invalid/start/states-above-core", "65 states", "CORE_LIMIT", 4, "STARTS"),
    ofSuite(
      "invalid/start/rank-257",
      "more than 256 multiplications for each weight",
      "HARD_LIMIT",
      4,
      "STARTED_RANK",
    ),
    ofSuite("invalid/start/position-4294967295-of-a-seed", "a position of 2^32 − 1", "RECORD_REFERENCE", 1),
    ofSuite("invalid/start/no-start", "the feature bit, and no start", "INDEX_FIELD_MISSING", 1),
    ofSuite(
      "invalid/start/bit-without-anything",
      "the feature bit, and no module with one",
      "FEATURE_BITS",
      1,
    ),
    ofSuite("invalid/start/scale-infinite", "bounds that are not finite", "SCALE_VALUE", 1),
    ofSuite("invalid/start/scale-too-large", "weights that are not finite", "SCALE_VALUE", 1),
    {
      name: "4,096 modules, each at the last position",
      tries: "4 million draws to be made for each of 4,096 weights",
      make: () => many(seed, () => STATE_DRAWS - 1),
    },
    {
      name: "4,096 modules at the ends of 64 states",
      tries: "the same, another state each time",
      make: () =>
        many(
          states((i) => Math.imul(i, 0x9e3779b1)),
          last,
        ),
    },
    {
      name: "4,096 modules at the ends of 64 states",
      tries: "to have it checked",
      ...validating,
      make: () =>
        many(
          states((i) => Math.imul(i, 0x9e3779b1)),
          last,
        ),
    },
    {
      name: "4,096 modules all over 64 states",
      tries: "no two modules near each other",
      make: () =>
        many(
          states((i) => Math.imul(i, 0x9e3779b1)),
          (i) => Math.imul(i, 0x9e3779b1) >>> 6,
        ),
    },
    {
      name: "64 states of zeros",
      tries: "a generator that stands still",
      make: () =>
        many(
          states(() => 0),
          (i) => Math.imul(i, 0x9e3779b1) >>> 6,
        ),
    },
    {
      name: "rank 256",
      tries: "the most multiplications that Core allows for 66 KB",
      make: () => bytesOf({ modules: [started("m", seed, 1, { in: 16000 }, 256)] }),
    },
    {
      name: "eight times rank 256",
      tries: "the same in 532 KB",
      mib: 128,
      above: "a module is decoded whole, and the next one before its memory is free",
      make: () =>
        bytesOf({
          modules: Array.from({ length: 8 }, (_, i) => started(`m${i}`, seed, 1, { in: 16000 }, 256)),
        }),
    },
    ofSuite(
      "invalid/start/work-above-core",
      "more multiplications than Core allows for its bytes",
      "CORE_LIMIT",
      4,
      "START_WORK",
    ),
    {
      name: "rank 256 and vectors of 2^19 in 66 KB",
      tries: "8 s of CPU, and 3 GB of draws and weights",
      ...decoding,
      first: "CORE_LIMIT",
      code: 4,
      make: () => bytesOf({ modules: [started("m", seed, 1, { in: 2 ** 19 }, 256)] }),
    },
  ].map((one) => ({
    first: "valid",
    code: 0,
    ...(one.limit || one.first ? validating : decoding),
    ...one,
    group: "Starts",
  }));
}
