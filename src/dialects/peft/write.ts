/**
 * Writes a PEFT directory: `adapter_config.json` and `adapter_model.safetensors`.
 *
 * An adapter that was read from PEFT gets its configuration, keys, metadata and plain tensors back byte for byte; with
 * `factors: "source"` and unchanged weights the whole weights file is the one it came from, provided the tool that
 * wrote that one padded its header as the reference library does.
 *
 * @module
 */
import { fail } from "../../errors.ts";
import type { Adapter, LoraModule } from "../../model/adapter.ts";
import type { WriteOptions } from "../dialect.ts";
import { type FactorElement, fromFloat32 } from "../elements.ts";
import { quoteName } from "../json.ts";
import { type SafeTensor, writeSafetensors } from "../safetensors.ts";
import { checkAgainst } from "./check.ts";
import { parsePeftConfig } from "./config.ts";
import { PREFIX, parseModuleKey, patternPath } from "./keys.ts";
import { factorKey, type KeyContext, tensorKey } from "./layout.ts";
import { type PeftOrigin, unpackOrigin } from "./origin.ts";
import { CONFIG_FILE, WEIGHTS_FILE } from "./read.ts";
import { synthesizeConfig } from "./synthesize.ts";

/**
 * Writes an adapter, from PEFT or not.
 *
 * @throws LqaError UNSUPPORTED_DIALECT if PEFT would compute something else from the files than the adapter says;
 * SOURCE_RANGE if a factor overflows the chosen element type.
 */
export function writePeft(adapter: Adapter, options: WriteOptions): Map<string, Uint8Array> {
  const origin = adapter.origin?.dialect === "peft" ? unpackOrigin(adapter.origin) : newOrigin(adapter);
  const context: KeyContext = {
    prefix: origin.prefix,
    adapter: origin.adapter,
    adapted: new Set(adapter.modules.map(({ name }) => name)),
  };
  checkAgainst(adapter, parsePeftConfig(origin.config), (module) => configuredPath(module, context, origin));
  const tensors = new Map<string, SafeTensor>();
  const add = (usual: string, tensor: SafeTensor): void => {
    const key = origin.keys.get(usual) ?? usual;
    if (tensors.has(key)) {
      fail("UNSUPPORTED_DIALECT", {
        where: `tensor ${quoteName(key)}`,
        expected: "one tensor",
        actual: "two",
      });
    }
    tensors.set(key, tensor);
  };
  for (const module of adapter.modules) {
    const types = origin.elements.get(module.name) ?? [origin.element, origin.element];
    const [b, a] = options.factors === "source" ? types : [options.factors, options.factors];
    add(factorKey(module, "b", context), factor(module, "b", b));
    add(factorKey(module, "a", context), factor(module, "a", a));
  }
  for (const { name, role, element, shape, data } of adapter.tensors) {
    const key = tensorKey({ name, role }, context);
    if (key !== undefined) add(key, { element, shape, data });
  }
  const order = origin.order !== undefined && isOrderOf(origin.order, tensors) ? origin.order : undefined;
  return new Map([
    [CONFIG_FILE, origin.config.slice()],
    [WEIGHTS_FILE, writeSafetensors(tensors, { metadata: origin.metadata, order })],
  ]);
}

/** The tensor of a factor: as `modules.ts` describes its shape. */
function factor(module: LoraModule, which: "a" | "b", element: FactorElement): SafeTensor {
  const { rank, kernel } = module;
  const shape = which === "a" ? [rank, module.in, ...kernel] : [module.out, rank, ...kernel.map(() => 1)];
  const where = `factor ${which.toUpperCase()} of module ${quoteName(module.name)}`;
  return { element, shape, data: fromFloat32(module[which], element, where) };
}

/** The path PEFT looks patterns up by: the one in the key, where the key has wrapper segments. */
function configuredPath(module: LoraModule, context: KeyContext, origin: PeftOrigin): string {
  const actual = origin.keys.get(factorKey(module, "b", context));
  const parsed = actual?.startsWith(origin.prefix)
    ? parseModuleKey(actual.slice(origin.prefix.length))
    : undefined;
  return parsed === undefined ? module.name : patternPath(parsed.path);
}

/** An adapter that lost a module keeps the order of none: the order is a list of all keys. */
function isOrderOf(order: readonly string[], tensors: ReadonlyMap<string, SafeTensor>): boolean {
  return (
    order.length === tensors.size &&
    new Set(order).size === order.length &&
    order.every((key) => tensors.has(key))
  );
}

function newOrigin(adapter: Adapter): PeftOrigin {
  return {
    config: synthesizeConfig(adapter),
    metadata: new Map([["format", "pt"]]),
    element: "F32",
    elements: new Map(),
    prefix: PREFIX,
    adapter: undefined,
    keys: new Map(),
    order: undefined,
  };
}
