/**
 * An adapter at a path, whether it is an `.lqa` file or what one is made from. Factors are made when they are asked for.
 *
 * @module
 */
import { lazyModule, shapeOf } from "../model/adapter.ts";
import {
  type DecodedFactors,
  type ModuleRecord,
  openLqa,
  type ReadOptions,
  readAdapter,
  readSourceFiles,
} from "../node.ts";
import { readValid } from "../read-valid.ts";
import { bandsText } from "../report/bands.ts";
import type { DiffSide } from "../report/diff.ts";
import { readInput, STANDARD_INPUT } from "./open-input.ts";

/** An adapter, and which file it is. */
export interface OpenedAdapter extends DiffSide {
  readonly facts: {
    readonly path: string;
    readonly fileId: string | null;
    readonly contentId: string | null;
  };
}

/** Opens it. @throws LqaError as `readAdapter`, or the first error of an `.lqa` file */
export async function openAdapter(path: string, settings: ReadOptions): Promise<OpenedAdapter> {
  if (path !== STANDARD_INPUT && !/\.lqa$/i.test(path)) {
    const adapter = readAdapter(await readSourceFiles(path), { ...settings, lazy: true });
    return { ...adapter, facts: { path, fileId: null, contentId: null } };
  }
  const { bytes, ids } = await readValid(path === STANDARD_INPUT ? await readInput(path) : path);
  const file = await openLqa(bytes);
  // Both factors are asked for one after the other, and those of one module are held.
  let held: { readonly record: ModuleRecord; readonly factors: DecodedFactors } | undefined;
  const factorsOf = (record: ModuleRecord): DecodedFactors => {
    if (held?.record !== record) held = { record, factors: file.decodeModule(record) };
    return held.factors;
  };
  const modules = file.modules.map((record) =>
    lazyModule(
      shapeOf(record),
      () => factorsOf(record).b as Float32Array,
      () => factorsOf(record).a as Float32Array,
    ),
  );
  return {
    modules,
    tensors: file.tensors.map((record) => file.tensor(record)),
    meta: file.meta,
    origin: await file.origin(),
    encodings: new Map(file.modules.map(({ name, bands }) => [name, bandsText(bands)])),
    facts: { path, ...ids },
  };
}
