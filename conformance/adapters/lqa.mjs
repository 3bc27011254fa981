// The library of this repository as a reader of PROTOCOL.md: protocol A as it is, protocol B with --lines. Node, Bun, Deno.
//
//   node conformance/adapters/lqa.mjs [--level LEVEL] [--budget BYTES] [--parent FILE]... < file
//   node conformance/adapters/lqa.mjs --lines
import { readFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { toHex } from "../../dist/common/bytes.js";
import { sha256 } from "../../dist/common/sha256.js";
import { readIndex } from "../../dist/core/container/index-read.js";
import * as library from "../../dist/core/index.js";
import { LEVELS, OPERATIONS, readerOf } from "./lqa-document.mjs";

const answer = readerOf(library, { readIndex, sha256, toHex });

const runtime = () => {
  if (globalThis.Deno !== undefined) return `Deno ${globalThis.Deno.version.deno}`;
  if (globalThis.Bun !== undefined) return `Bun ${globalThis.Bun.version}`;
  return `Node ${process.versions.node}`;
};

const { values } = parseArgs({
  options: {
    level: { type: "string" },
    budget: { type: "string" },
    parent: { type: "string", multiple: true },
    lines: { type: "boolean" },
  },
});
const read = (path) => new Uint8Array(readFileSync(path));
if (values.lines) await lines();
else {
  const budget = values.budget === undefined ? {} : { budget: Number(values.budget) };
  const parents = (values.parent ?? []).map(read);
  const { exit, document } = await answer(read(0), { level: values.level, ...budget }, parents);
  process.stdout.write(`${JSON.stringify(document)}\n`);
  process.exitCode = exit;
}

async function lines() {
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    if (command.cmd === "stop") break;
    process.stdout.write(`${JSON.stringify(await reply(command))}\n`);
  }
  process.exit(0);
}

async function reply(command) {
  const { cmd, seq, path, hex, parents = [] } = command;
  if (cmd === "start") return { protocol: 1, name: "lqa", version: library.VERSION, language: runtime() };
  if (cmd === "caps") return { levels: LEVELS, operations: OPERATIONS, without: {} };
  if (cmd !== "run") return { errored: `unknown command ${cmd}` };
  try {
    const bytes = hex === undefined ? read(path) : new Uint8Array(Buffer.from(hex, "hex"));
    return { seq, ...(await answer(bytes, command, parents.map(read))) };
  } catch (error) {
    return { seq, errored: error.stack };
  }
}
