// Attacks on directories: what is where a file is expected. test/io/hostile-tree.test.ts runs the same on every command.
// Parts of the list in list.mjs.
import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const config = "adapter_config.json";
const weights = "adapter_model.safetensors";

/** An adapter directory `a` with one odd file. */
const odd = (name, odd) => (folder) => {
  mkdirSync(join(folder, "a"));
  for (const file of [config, weights])
    if (file === name) odd(join(folder, "a", file));
    else writeFileSync(join(folder, "a", file), file === config ? "{}" : "");
};
const pipe = (path) => execFileSync("mkfifo", [path]);
const zero = (path) => symlinkSync("/dev/zero", path);
const large = (path) => {
  writeFileSync(path, "");
  truncateSync(path, 2 ** 30);
};

const encode = ["encode", "a", "-o", "out.lqa"];
export const DIRECTORIES = [
  {
    name: "configuration is a pipe",
    tries: "an endless wait",
    words: encode,
    code: 2,
    first: "IO",
    make: odd(config, pipe),
  },
  {
    name: "configuration is /dev/zero",
    tries: "memory",
    words: encode,
    code: 2,
    first: "IO",
    make: odd(config, zero),
  },
  {
    name: "configuration of 1 GiB",
    tries: "memory",
    words: encode,
    code: 4,
    first: "BUDGET",
    make: odd(config, large),
  },
  {
    name: "weights are a pipe",
    tries: "an endless wait",
    words: encode,
    code: 2,
    first: "IO",
    make: odd(weights, pipe),
  },
  {
    name: "weights are /dev/zero",
    tries: "memory",
    words: encode,
    code: 2,
    first: "IO",
    make: odd(weights, zero),
  },
].map((one) => ({ ...one, file: "", seconds: 2, group: "Directories" }));
