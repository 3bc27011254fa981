// All encodings of settings.mjs in a page: ../encoders.mjs bundles this for browsers and asks `encodeAll`.
import { readAdapter } from "../../dist/adapters/index.js";
import { encodeAdapter } from "../../dist/encode/index.js";
import { encodings } from "./settings.mjs";

/** [{ workers: 1, id, length, sha256 }]. The adapter's files are served at their names. */
globalThis.encodeAll = async (filter) => {
  const names = ["adapter_config.json", "adapter_model.safetensors"];
  const load = async (name) => [name, await (await fetch(`/${name}`)).bytes()];
  const results = [];
  const files = new Map(await Promise.all(names.map(load)));
  for await (const { id, bytes } of encodings({ encodeAdapter, readAdapter }, files, { filter })) {
    const sha256 = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
    results.push({ workers: 1, id, length: bytes.length, sha256 });
  }
  return results;
};
