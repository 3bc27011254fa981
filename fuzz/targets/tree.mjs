// Directories that somebody else filled. Structured: bytes choose names and what they are (files, directories, links that lead
// out, in circles or to devices, pipes); then everything that reads or writes directories runs on them. Each call ends, and
// what is outside stays as it was.

import { execFileSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openOutputFolder } from "../../dist/node/files/output-folder.js";
import {
  directoryStore,
  encodeMany,
  openModel,
  readBaseDescription,
  readSourceFiles,
  writeDirectoryAtomic,
} from "../../dist/node/index.js";
import { choices } from "../choices.mjs";
import { asyncOutcome, expect, target } from "../contract.mjs";

const NAMES = [
  "adapter_config.json",
  "adapter_model.safetensors",
  "x.safetensors",
  "model.safetensors.index.json",
  "config.json",
  "a.lqa",
  "sub",
  "b",
  ".x.lqa.0123456789ab.tmp",
];
const TEXTS = [
  "",
  "{}",
  '{"peft_type":"LORA","r":2,"lora_alpha":4,"target_modules":["q"]}',
  '{"weight_map":{"w":"x.safetensors"}}',
  "\u0002\0\0\0\0\0\0\0{}",
];

const base = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "lqa-fuzz-tree-"));
process.on("exit", () => rmSync(base, { recursive: true, force: true }));
const [root, outside, pipe] = ["tree", "outside", "pipe"].map((name) => join(base, name));
mkdirSync(join(outside, "sub"), { recursive: true });
for (const name of [...NAMES.slice(0, 6), "sub/photo"]) writeFileSync(join(outside, name), "outside");
if (process.platform !== "win32") execFileSync("mkfifo", [pipe]);
const look = () =>
  readdirSync(outside, { recursive: true })
    .map((name) => {
      const { mtimeMs, size, ino, mode } = lstatSync(join(outside, name));
      return [name, mtimeMs, size, ino, mode].join();
    })
    .sort()
    .join("\n");
const before = look();

function grow(from, folder, depth) {
  for (let count = 1 + from.below(5); count > 0; count--) {
    const path = join(folder, from.pick(NAMES));
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) continue;
    switch (from.below(8)) {
      case 0:
      case 1:
        writeFileSync(path, from.pick(TEXTS));
        break;
      case 2:
        mkdirSync(path);
        if (depth < 3) grow(from, path, depth + 1);
        break;
      case 3:
        symlinkSync(join(outside, from.pick([...NAMES, "."])), path);
        break;
      case 4:
        symlinkSync(from.pick([".", "..", "b", "sub", "nowhere", "../x.safetensors"]), path);
        break;
      case 5:
        symlinkSync(from.pick(["/dev/zero", "/dev/null", "/dev/full", "/proc/self/mem", "/"]), path);
        break;
      case 6:
        if (process.platform !== "win32") linkSync(pipe, path);
        break;
      default:
        mkdirSync(path);
        writeFileSync(join(path, from.pick(NAMES)), from.pick(TEXTS));
    }
  }
}

export const grows = true;

export const fuzz = target(async (input, variant) => {
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root);
  const from = choices(input);
  grow(from, root, 0);
  const force = (variant & 1) === 1;
  const bytes = Uint8Array.of(1, 2, 3);
  const files = new Map([
    ["adapter_config.json", bytes],
    ["adapter_model.safetensors", bytes],
  ]);
  await asyncOutcome(() => readSourceFiles(root));
  await asyncOutcome(() => readBaseDescription(root));
  const { value: model } = await asyncOutcome(() => openModel(root));
  await model?.close();
  const { value: opened } = await asyncOutcome(() => directoryStore(root).open("a"));
  await opened?.close?.();
  await asyncOutcome(() => encodeMany([root], join(root, "sub"), { force, workers: 1 }));
  const folder = openOutputFolder(root);
  for (const name of ["a.lqa", "sub/a.lqa", "b/sub/a.lqa", "../outside/a.lqa"])
    await asyncOutcome(() => folder.write(name, bytes, { force }));
  // A link that is named itself may be followed to a directory, and only into the tree is written here.
  if (!lstatSync(join(root, "b"), { throwIfNoEntry: false })?.isSymbolicLink())
    await asyncOutcome(() => writeDirectoryAtomic(join(root, "b"), files, { force }));
  expect(look() === before, "something outside changed");
});
