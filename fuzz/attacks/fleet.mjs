// Attacks on directories and fleets: what is where a file is expected. test/io/hostile-tree.test.ts runs the same on every
// command. A fleet needs a store and a queue: hostile jobs, records and queue entries are in test/fleet/jobs.test.ts.
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
/** A directory whose `.lqa-fleet/tmp` leads out of it: older versions emptied what it led to. */
const linked = (folder) => {
  for (const name of ["src/.lqa-fleet", "victim"]) mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, "victim/photo"), "x");
  symlinkSync(join(folder, "victim"), join(folder, "src/.lqa-fleet/tmp"));
};

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
  ...[
    ["submit", "src", "--to", "out"],
    ["verify", "src"],
    ["report", "src"],
    ["work", "--queue", "src"],
  ].map((words) => ({
    name: `fleet ${words[0]} of a directory with a link`,
    tries: "to have what a link leads to removed",
    words: ["fleet", ...words],
    code: 2,
    first: "USAGE",
    make: linked,
  })),
].map((one) => ({ ...one, file: "", seconds: 2, group: "Directories and fleets" }));
