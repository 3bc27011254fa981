/**
 * An encoded adapter in a directory of PEFT's layout (docs/peft-layout.md): `adapter_config.json`, by which programs recognize an
 * adapter, and `adapter_model.lqa`.
 *
 * Readers of this library read the `.lqa` file alone. The configuration is for programs that look for one: it is the one that
 * `decode --to peft` writes, so with the decoded tensors it says what the file says.
 *
 * @module
 */
import { adapterContent } from "../adapters/read-write.ts";
import type { Adapter } from "../model/adapter.ts";
import { joinContent } from "../model/content.ts";
import { CONFIG_FILE, LQA_FILE } from "./files/adapter-names.ts";

/** File names of the layout. */
export const LAYOUT_FILES: ReadonlySet<string> = new Set([CONFIG_FILE, LQA_FILE]);

/**
 * The configuration of PEFT that belongs to an adapter. Decodes no factors.
 *
 * @throws LqaError UNSUPPORTED_DIALECT if PEFT cannot express the adapter
 */
export function layoutConfig(adapter: Adapter): Uint8Array {
  return joinContent(adapterContent(adapter, { to: "peft", factors: "F32" }).get(CONFIG_FILE)!);
}

/** The files of the layout, by name. @throws LqaError as {@link layoutConfig} */
export function layoutFiles(bytes: Uint8Array, adapter: Adapter): Map<string, Uint8Array> {
  return new Map([
    [CONFIG_FILE, layoutConfig(adapter)],
    [LQA_FILE, bytes],
  ]);
}
