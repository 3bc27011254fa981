// The encodings of settings.mjs on Node, Bun or Deno: host.mjs ADAPTER WORKERS[,WORKERS...] FILTER [DIRECTORY]
// Prints a line of JSON for each, { workers, id, length, sha256 }, and writes the files of the first number of workers to
// DIRECTORY, if one is given, under the name that `fileOf` says.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { readAdapter } from "../../dist/adapters/index.js";
import { encodeAdapter } from "../../dist/encode/index.js";
import { createWorkerPool } from "../../dist/node/index.js";
import { encodings } from "./settings.mjs";

export const fileOf = (directory, id) => join(directory, `${id}.lqa`);

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await main();

async function main() {
  const [adapter, workers, filter, directory] = process.argv.slice(2);
  const names = ["adapter_config.json", "adapter_model.safetensors"];
  const files = new Map(names.map((name) => [name, new Uint8Array(readFileSync(join(adapter, name)))]));
  for (const [i, count] of workers.split(",").map(Number).entries()) {
    const pool = count > 1 ? createWorkerPool(count) : undefined;
    for await (const { id, bytes } of encodings({ encodeAdapter, readAdapter }, files, {
      executor: pool,
      filter,
    })) {
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      console.log(JSON.stringify({ workers: count, id, length: bytes.length, sha256 }));
      if (i > 0 || directory === undefined) continue;
      mkdirSync(dirname(fileOf(directory, id)), { recursive: true });
      writeFileSync(fileOf(directory, id), bytes);
    }
    await pool?.close();
  }
}
