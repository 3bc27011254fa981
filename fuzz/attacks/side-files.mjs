// Attacks through the files next to the weights (configurations, with their patterns; an index of shards), and files of .lqa
// that are cheap to check and dear to work on, through every command. Parts of the list in list.mjs.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeSafetensors } from "../../dist/adapters/safetensors.js";
import { bytesOf, empty, MIB } from "./files.mjs";

const float = (...shape) => ({
  element: "F32",
  shape,
  data: new Uint8Array(
    Float32Array.from({ length: shape.reduce((x, y) => x * y) }, (_, i) => (i % 7) - 3).buffer,
  ),
});

/** Factors of `count` modules, with long paths: each is looked up in the tables of a configuration. */
function weights(count) {
  const tensors = new Map();
  for (let i = 0; i < count; i++) {
    const key = `base_model.model.${"model.".repeat(60)}layers.${i}.self_attn.q_proj`;
    tensors.set(`${key}.lora_A.weight`, float(2, 8)).set(`${key}.lora_B.weight`, float(4, 2));
  }
  return writeSafetensors(tensors);
}

/** Writes a PEFT directory whose configuration has some more text in it. */
const peft =
  (text, modules = 1) =>
  (path) => {
    mkdirSync(path);
    writeFileSync(
      join(path, "adapter_config.json"),
      `{"peft_type":"LORA","r":2,"lora_alpha":4,"target_modules":["q_proj"],${text()}}`,
    );
    writeFileSync(join(path, "adapter_model.safetensors"), weights(modules));
  };

/** As many items as a MiB holds, separated by commas. */
function mebibyte(item) {
  const items = [];
  for (let length = 0, i = 0; length < MIB - 4096; i++) {
    items.push(item(i));
    length += items[i].length + 1;
  }
  return items.join(",");
}
const patterns = (key) => () => `"rank_pattern":{${mebibyte((i) => `${JSON.stringify(key(i))}:2`)}}`;

const ADAPTER = "adapter";

export const CONFIGURATIONS = [
  {
    name: "nothing, 8 · 10¹² times",
    tries: "157 bytes: a pattern of empty groups that are repeated",
    first: "valid",
    code: 0,
    make: peft(() => '"rank_pattern":{"(((){20000}){20000}){20000}zz":8}'),
  },
  {
    name: "patterns of 12,000 states",
    tries: "4,000 keys `(a?){6000}zN`",
    make: peft(() => `"rank_pattern":{${Array.from({ length: 4000 }, (_, i) => `"(a?){6000}z${i}":8`)}}`),
  },
  {
    name: "a MiB of patterns",
    tries: "to keep the compiler busy",
    make: peft(patterns((i) => `(a?){${5 + (i % 9)}}z${i}`)),
  },
  {
    name: "a MiB of patterns for 500 modules",
    tries: "to keep the matcher busy",
    make: peft(
      patterns((i) => `[aceg${"xz".repeat(900)}]*(.*.*)*${i}`),
      500,
    ),
  },
  {
    name: "a MiB of names for 100 modules",
    tries: "80,000 keys that are compared with each module of a sound adapter",
    mib: 80,
    above: "encoding the adapter is counted as well",
    first: "valid",
    code: 0,
    make: peft(
      patterns((i) => `m.${i}`),
      100,
    ),
  },
  {
    name: "a MiB of targets for 500 modules",
    tries: "a list that is compared with each module",
    make: peft(() => `"target_parameters":[${mebibyte((i) => `"${i.toString(36)}"`)}]`, 500),
  },
  {
    name: "a MiB of lists",
    tries: "an array for every three bytes",
    make: peft(() => `"exclude_modules":[${mebibyte(() => "[]")}]`),
  },
  {
    name: "12 MB of lists",
    tries: "the same, larger",
    make: peft(() => `"exclude_modules":[${"[],".repeat(4e6)}1]`),
  },
  {
    name: "a MiB of token indices, one twice",
    tries: "a search for the repeated one, from each to all",
    first: "SOURCE_CONFIG",
    code: 1,
    make: peft(() => `"trainable_token_indices":[${mebibyte(String)},5]`),
  },
  {
    name: "modules that PEFT imports",
    tries: "to run code of the program that loads the result",
    words: ["convert", ADAPTER, "out"],
    first: "valid",
    code: 0,
    make: peft(
      () => '"megatron_core":"evil","auto_mapping":{"base_model_class":"x","parent_library":"evil"}',
    ),
  },
  {
    name: "a rank of 200 million",
    tries: "6.8 GB in PEFT for a target that the file does not have",
    words: ["convert", ADAPTER, "out"],
    first: "valid",
    code: 0,
    make: peft(() => '"rank_pattern":{"elsewhere":200000000}'),
  },
  {
    name: "layers whose pattern is slow",
    tries: "a search without end in Python",
    words: ["convert", ADAPTER, "out"],
    first: "valid",
    code: 0,
    make: peft(() => '"exclude_modules":"(a|a)*b"'),
  },
].map((one) => ({
  ...{ words: ["encode", ADAPTER, "-o", "out.lqa"], first: "BUDGET", code: 4, seconds: 3, file: ADAPTER },
  ...{ group: "Configurations", ...one },
}));

const experts = (count) =>
  bytesOf({ modules: Array.from({ length: count }, (_, i) => empty(`m${i}`, { experts: 16 })) });
/** The most modules and experts that readers accept. Made once: writing them takes twice as long as reading them. */
let written;
const most = {
  name: "65,536 × 16 experts",
  big: true,
  make: async () => {
    written ??= await experts(65536);
    return written;
  },
};

export const COMMANDS = [
  { ...most, tries: "a million empty experts to be checked", words: ["validate", "a.lqa"] },
  { ...most, tries: "a list without end", words: ["inspect", "a.lqa"] },
  {
    ...most,
    tries: "a million decompositions",
    words: ["inspect", "a.lqa", "--html", "out.html"],
    seconds: 10,
    mib: 400,
    above: "a report holds what it says of each of 65,536 modules",
  },
  {
    ...most,
    tries: "to have them decoded",
    words: ["decode", "a.lqa", "-o", "out"],
    first: "BUDGET",
    code: 4,
  },
  {
    ...most,
    tries: "a million comparisons",
    words: ["diff", "a.lqa", "a.lqa"],
    first: "BUDGET",
    code: 4,
  },
  {
    name: "16,384 × 16 experts",
    tries: "a quarter of a million comparisons, the most for a file without weights",
    words: ["diff", "a.lqa", "a.lqa"],
    big: true,
    seconds: 10,
    mib: 256,
    above: "two adapters are two objects for each of 16,384 modules",
    make: () => experts(16384),
  },
  {
    ...CONFIGURATIONS[3],
    tries: "to convert it",
    words: ["convert", ADAPTER, "out"],
  },
  {
    ...CONFIGURATIONS[3],
    tries: "to compare methods on it",
    words: ["compare", ADAPTER],
  },
  {
    name: "a MiB of lists in an index of shards",
    tries: "an array for every three bytes",
    words: ["validate", "a.lqa", "--base", "model"],
    first: "BUDGET",
    code: 4,
    file: "model",
    make(path) {
      mkdirSync(path);
      writeFileSync(
        join(path, "model.safetensors.index.json"),
        `{"weight_map":{},"x":[${mebibyte(() => "[]")}]}`,
      );
    },
  },
].map((one) => ({ first: "valid", code: 0, seconds: 5, ...one, group: "Every command" }));
