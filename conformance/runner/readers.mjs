// The readers of this repository, on every runtime that is there: what `conformance/run --all` tests.
//
// A line says how a reader is started, or why it is not. Programs are named by LQA_NODE20, LQA_NODE22, LQA_NODE24, LQA_BUN,
// LQA_DENO, LQA_CHROMIUM and LQA_PYTHON, or were installed by conformance/runtimes.mjs, or are on PATH.
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { installed } from "../runtimes.mjs";

const run = promisify(execFile);
const here = fileURLToPath(new URL("..", import.meta.url));
const root = join(here, "..");
const HOW = "node conformance/runtimes.mjs installs it";

/** The first of these names on PATH. */
const onPath = (...names) =>
  names
    .flatMap((name) => (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, name)))
    .find((path) => existsSync(path));

/** What `--version` of a program says, or undefined if it does not run. */
async function versionOf(program, env = {}) {
  try {
    const { stdout } = await run(program, ["--version"], { timeout: 30000, env: { ...process.env, ...env } });
    return stdout;
  } catch {
    return undefined;
  }
}

/**
 * The runtimes of JavaScript: { label, program, flags, unavailable }. A reader or an encoder is a script that stands behind
 * the flags; for a browser there are scripts of their own (`browser`).
 */
export async function findRuntimes() {
  const major = Number(process.versions.node.split(".")[0]);
  const majors = [20, 22, 24];
  const list = majors.map((m) =>
    m === major
      ? { label: `Node ${m}`, program: process.execPath }
      : { label: `Node ${m}`, variable: `LQA_NODE${m}`, name: `node${m}`, expected: `v${m}.` },
  );
  if (!majors.includes(major)) list.unshift({ label: `Node ${major}`, program: process.execPath });
  list.push(
    { label: "Bun", variable: "LQA_BUN", name: "bun" },
    {
      label: "Deno",
      variable: "LQA_DENO",
      name: "deno",
      flags: ["run", "--quiet", "--allow-read", "--allow-write", "--allow-env"],
    },
    { label: "Chromium", variable: "LQA_CHROMIUM", name: "chromium", browser: true },
  );
  return Promise.all(list.map((about) => located({ flags: [], ...about })));
}

async function located({ variable, name, expected = "", ...runtime }) {
  if (!existsSync(join(root, "dist", "core", "index.js")))
    return { ...runtime, unavailable: "the library is not built: npm run build" };
  if (runtime.program !== undefined) return runtime;
  const named = process.env[variable];
  const names = name === "chromium" ? [name, "chromium-headless-shell", "google-chrome"] : [name];
  const program = named || installed(name) || onPath(...names);
  if (program === undefined)
    return { ...runtime, unavailable: `${name} is not here: ${HOW}, or ${variable} names it` };
  // A browser says on its first page whether it runs.
  if (runtime.browser) return { ...runtime, program };
  const version = await versionOf(program);
  if (version === undefined) return { ...runtime, unavailable: `${program} --version fails` };
  if (!version.startsWith(expected))
    return { ...runtime, unavailable: `${program} is ${version.trim()}, not ${expected}` };
  return { ...runtime, program };
}

/** The library on one runtime. */
function library({ label, program, flags, browser, unavailable }) {
  if (browser) {
    const env = { LQA_CHROMIUM: program };
    const command = [process.execPath, join(here, "adapters", "chromium.mjs"), "--lines"];
    return { label: `lqa, ${label}`, protocol: "b", command, env, unavailable, slow: 2 };
  }
  const command = [program, ...flags, join(here, "adapters", "lqa.mjs"), "--lines"];
  return { label: `lqa, ${label}`, protocol: "b", command, unavailable };
}

/** A reader with a `build` script in its folder, which prints the program it made. */
async function built(label, folder, compiler, { args = [], env = {}, unavailable } = {}) {
  const directory = join(here, "readers", folder);
  if (unavailable !== undefined) return { label, unavailable };
  if ((await versionOf(compiler)) === undefined) return { label, unavailable: `${compiler} is not here` };
  try {
    const { stdout } = await run(join(directory, "build"), args, {
      timeout: 600000,
      cwd: directory,
      env: { ...process.env, ...env },
    });
    return { label, protocol: "b", command: [stdout.trim().split("\n").at(-1), "--lines"] };
  } catch (error) {
    const lines = (error.stderr || error.message).trim().split("\n");
    const first = lines.find((line) => /\berror\b/i.test(line)) ?? lines[0];
    return { label, protocol: "b", broken: `does not build: ${first.slice(0, 300)}` };
  }
}

async function rust() {
  const manifest = readFileSync(join(here, "readers", "rust", "Cargo.toml"), "utf8");
  const oldest = /^rust-version = "1\.(\d+)/m.exec(manifest)[1];
  const found = /^cargo 1\.(\d+)/.exec((await versionOf("cargo")) ?? "")?.[1];
  const old = found !== undefined && Number(found) < Number(oldest);
  return built("Rust", "rust", "cargo", {
    unavailable: old ? `cargo 1.${found} is older than 1.${oldest}` : undefined,
  });
}

/** The C reader: as it is, linked with libzstd, and with LQA_SANITIZE=1 also with the sanitizers of the compiler. */
async function c() {
  const compiler = process.env.CC || "cc";
  const folder = installed("libzstd");
  const system = ["/usr/include", "/usr/local/include"].some((path) => existsSync(join(path, "zstd.h")));
  const { stdout: target = "" } = await run(compiler, ["-print-multiarch"]).catch(() => ({}));
  const flags = system ? "" : `-I${folder}/usr/include -L${folder}/usr/lib/${target.trim()}`;
  const missing = system || folder !== undefined ? undefined : `zstd.h is not here: ${HOW} (Debian)`;
  const zstd = { env: { CFLAGS: `${process.env.CFLAGS ?? ""} ${flags}`.trim() }, unavailable: missing };
  const sanitized =
    missing === undefined ? { ...zstd, args: ["--sanitize", "--zstd"] } : { args: ["--sanitize"] };
  return Promise.all([
    built("C", "c", compiler),
    built("C, zstd", "c", compiler, { ...zstd, args: ["--zstd"] }),
    ...(process.env.LQA_SANITIZE === "1" ? [built("C, sanitized", "c", compiler, sanitized)] : []),
  ]);
}

/** The decoders of this repository: what `conformance/run --decoder --all` tests. */
export async function findDecoders() {
  return Promise.all([
    built("Java", "java", "javac"),
    built("C, lqa_decode.h", "c", process.env.CC || "cc", { args: ["--decoder"] }),
  ]);
}

export async function findReaders() {
  const python = process.env.LQA_PYTHON || onPath("python3");
  return Promise.all([
    ...(await findRuntimes()).map(library),
    {
      label: "Python",
      protocol: "b",
      command: [python, join(here, "readers", "python", "lqa_reader.py"), "--lines"],
      unavailable: python === undefined ? "python3 is not here, nor named by LQA_PYTHON" : undefined,
      slow: 3,
    },
    ...(await c()),
    rust(),
  ]);
}
