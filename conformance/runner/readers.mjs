// The readers of this repository, on every runtime that is there: what `conformance/run --all` tests.
//
// A line says how a reader is started, or why it is not. Runtimes are looked for on PATH and in `node_modules/.bin`, or are
// named by LQA_NODE22, LQA_NODE24, LQA_BUN, LQA_DENO, LQA_PYTHON and LQA_CHROMIUM.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL("..", import.meta.url));
const root = join(here, "..");
const library = join(here, "adapters", "lqa.mjs");

/** The program of an environment variable, or the first of these names on PATH. */
function program(variable, ...names) {
  if (process.env[variable]) return process.env[variable];
  const places = [...(process.env.PATH ?? "").split(delimiter), join(root, "node_modules", ".bin")];
  for (const name of names)
    for (const place of places) if (existsSync(join(place, name))) return join(place, name);
  return undefined;
}

const works = (command, ...args) =>
  spawnSync(command, args, { stdio: "ignore", timeout: 30000 }).status === 0;
const absent = (what) => `${what} is absent`;

/** The library on one runtime. */
function runtime(label, variable, names, ...flags) {
  const command = program(variable, ...names);
  const unavailable =
    command === undefined
      ? absent(`${names.join(" or ")} (${variable})`)
      : works(command, "--version")
        ? undefined
        : `${command} --version fails`;
  return { label, protocol: "b", command: [command, ...flags, library, "--lines"], unavailable };
}

/** A reader with a `build` script in its folder, which prints the program it made. */
function built(label, folder, compiler) {
  const directory = join(here, "readers", folder);
  const build = join(directory, "build");
  if (!existsSync(build)) return { label, unavailable: absent(`conformance/readers/${folder}/build`) };
  if (!works(compiler, "--version")) return { label, unavailable: absent(compiler) };
  const { status, stdout, stderr } = spawnSync(build, { encoding: "utf8", timeout: 600000, cwd: directory });
  if (status !== 0)
    return {
      label,
      unavailable: undefined,
      protocol: "b",
      command: ["false"],
      note: `build failed: ${stderr}`,
    };
  return { label, protocol: "b", command: [stdout.trim().split("\n").at(-1), "--lines"] };
}

export async function findReaders() {
  const python = program("LQA_PYTHON", "python3");
  const readers = [
    { label: "lqa, this Node", protocol: "b", command: [process.execPath, library, "--lines"] },
    runtime("lqa, Node 22", "LQA_NODE22", ["node22"]),
    runtime("lqa, Node 24", "LQA_NODE24", ["node24"]),
    runtime("lqa, Bun", "LQA_BUN", ["bun"]),
    runtime("lqa, Deno", "LQA_DENO", ["deno"], "run", "--allow-read", "--allow-env"),
    {
      label: "Python",
      protocol: "b",
      command: [python, join(here, "readers", "python", "lqa_reader.py"), "--lines"],
      unavailable: python === undefined ? absent("python3 (LQA_PYTHON)") : undefined,
      slow: 3,
    },
    built("C", "c", "cc"),
    built("Rust", "rust", "cargo"),
  ];
  if (!existsSync(join(root, "dist", "index.js")))
    for (const reader of readers)
      if (reader.label.startsWith("lqa")) reader.unavailable = "the library is not built: npm run build";
  return readers;
}
