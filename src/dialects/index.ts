/**
 * The dialects this version knows, and reading an adapter of whichever it is.
 *
 * Today that is PEFT. Kohya, diffusers, MLX, loralib, GGUF and ONNX Runtime adapters are recognised and refused by name.
 *
 * @module
 */
import { fail } from "../errors.ts";
import { type Adapter, withFactors } from "../model/adapter.ts";
import type { Dialect, ReadOptions, SourceFiles, WriteOptions } from "./dialect.ts";
import { identify } from "./identify.ts";
import { quoteName } from "./json.ts";
import { peft } from "./peft/index.ts";
import { widenTensors } from "./widen.ts";

export type { Dialect, ReadOptions, SourceBytes, SourceFiles, WriteOptions } from "./dialect.ts";
export { peft } from "./peft/index.ts";

/** All dialects, in the order they are asked. */
export const DIALECTS: readonly Dialect[] = [peft];

/**
 * Reads an adapter in the first dialect that recognises its files.
 *
 * @throws LqaError UNSUPPORTED_DIALECT, with what the files look like, if none does; otherwise as
 * {@link Dialect.read}.
 */
export function readAdapter(files: SourceFiles, options: ReadOptions = {}): Adapter {
  const dialect = DIALECTS.find((candidate) => candidate.detect(files));
  if (dialect !== undefined) {
    const adapter = dialect.read(files);
    return options.lazy ? adapter : { ...adapter, modules: adapter.modules.map(withFactors) };
  }
  const { file, looksLike, advice } = identify(files);
  return fail("UNSUPPORTED_DIALECT", {
    where: file === undefined ? undefined : `file ${quoteName(file)}`,
    expected: "a PEFT directory (adapter_config.json and adapter_model.safetensors)",
    actual: looksLike,
    advice,
  });
}

/**
 * Writes an adapter in the dialect it came from, or as a PEFT directory if that is none of this version's. Plain tensors
 * get the element types they had in the source, also where the `.lqa` file holds them as F16.
 *
 * @throws LqaError as {@link Dialect.write}.
 */
export function writeAdapter(adapter: Adapter, options: WriteOptions): Map<string, Uint8Array> {
  const dialect = DIALECTS.find(({ name }) => name === adapter.origin?.dialect) ?? peft;
  return dialect.write(widenTensors(adapter), options);
}
