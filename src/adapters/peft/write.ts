/**
 * Writes a PEFT directory: `adapter_config.json` and `adapter_model.safetensors`.
 *
 * An adapter that was read from PEFT gets its configuration, keys, metadata and plain tensors back byte for byte. With
 * `factors: "source"` and unchanged weights, the weights file is identical to its source, if the program that wrote the
 * source padded its header as the reference library does.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { Adapter, LoraModule, PlainTensor } from "../../model/adapter.ts";
import { contentOf, type FileContent } from "../../model/content.ts";
import type { WriteOptions } from "../dialect.ts";
import { readIndices, type WrittenElement } from "../elements.ts";
import { factorBytes, writeFactor } from "../factors.ts";
import { quoteName } from "../json.ts";
import { elementsOf, keptOrder, newFileOrigin } from "../origin.ts";
import { safetensorsContent, type WrittenTensor } from "../safetensors.ts";
import { CONFIG_FILE } from "../source.ts";
import { sayableTensors } from "../state-dict/write.ts";
import { checkAgainst } from "./check.ts";
import { type PeftConfig, parsePeftConfig } from "./config.ts";
import { expertsLast } from "./experts.ts";
import { PREFIX, parseModuleKey, patternPath } from "./keys.ts";
import { factorKey, type KeyContext, tensorKey } from "./layout.ts";
import { type PeftOrigin, unpackOrigin } from "./origin.ts";
import { portable } from "./portable.ts";
import { WEIGHTS_FILE } from "./read.ts";
import { synthesizeConfig } from "./synthesize.ts";
import { indicesFor, permuteRows } from "./tensors.ts";

/**
 * Writes an adapter, from PEFT or not.
 *
 * @throws LqaError UNSUPPORTED_DIALECT if PEFT would compute something else from the files than the adapter says;
 * SOURCE_RANGE if a factor overflows the chosen element type
 */
export function writePeft(given: Adapter, options: WriteOptions): Map<string, FileContent> {
  const eightBits = options.factors === "F8_E4M3";
  const source = options.portable === true || eightBits ? portable(given, options) : given;
  const own = source.origin?.dialect === "peft" ? source.origin : undefined;
  const place = { name: "peft", roles: ROLES } as const;
  const adapter = { ...source, tensors: sayableTensors(source, place, own !== undefined, options) };
  const origin = own === undefined ? newOrigin(adapter, source !== given) : unpackOrigin(own);
  const context: KeyContext = {
    prefix: origin.prefix,
    adapter: origin.adapter,
    adapted: new Set(adapter.modules.map(({ name }) => name)),
  };
  const config = parsePeftConfig(origin.config);
  checkAgainst(adapter, config, (module) => configuredPath(module, context, origin));
  const tensors = new Map<string, WrittenTensor>();
  const add = (usual: string, tensor: WrittenTensor): void => {
    const key = origin.keys.get(usual) ?? usual;
    if (tensors.has(key)) {
      fail(KIND.UNSUPPORTED_DIALECT, {
        where: `tensor ${quoteName(key)}`,
        expected: "one tensor",
        actual: "two",
      });
    }
    tensors.set(key, tensor);
  };
  for (const module of adapter.modules) {
    const [b, a] = eightBits ? EIGHT_BITS : elementsOf(module, options);
    add(factorKey(module, "b", context), factor(module, "b", b, options));
    add(factorKey(module, "a", context), factor(module, "a", a, options));
  }
  const modules = new Map(adapter.modules.map((module) => [module.name, module]));
  const indices = new Map(
    adapter.tensors.filter(({ role }) => role === "token-indices").map((tensor) => [tensor.name, tensor]),
  );
  for (const tensor of adapter.tensors) {
    const key = tensorKey(tensor, context);
    const { element } = tensor;
    const data =
      tensor.role === "token-rows" ? configuredRows(tensor, indices.get(tensor.name)!, config) : tensor.data;
    if (key !== undefined)
      add(key, {
        element,
        shape: own === undefined ? shapeIn(tensor, modules.get(tensor.name)) : tensor.shape,
        data,
      });
  }
  return new Map([
    [CONFIG_FILE, contentOf(origin.config.slice())],
    [
      WEIGHTS_FILE,
      safetensorsContent(tensors, { metadata: origin.metadata, order: keptOrder(origin, tensors) }),
    ],
  ]);
}

const EIGHT_BITS = ["F8_E4M3", "F8_E4M3"] as const;

const ROLES: readonly PlainTensor["role"][] = [
  "replace",
  "bias",
  "lora-bias",
  "magnitude",
  "token-rows",
  "token-indices",
];

/** Token rows in the order of the configuration's indices. */
function configuredRows({ name, data }: PlainTensor, indices: PlainTensor, config: PeftConfig): Uint8Array {
  return permuteRows(data, readIndices(indices), indicesFor(name, config));
}

/** Shape of a plain tensor from another dialect: magnitudes get PEFT's shape. @throws LqaError UNSUPPORTED_DIALECT */
function shapeIn(
  { role, name, axis, shape }: PlainTensor,
  module: LoraModule | undefined,
): readonly number[] {
  if (role !== "magnitude" || module === undefined) return shape;
  if ((axis === 0) === (module.baseLayout === "out-in")) {
    return module.kernel.length === 0 ? [module.out] : [1, module.out, ...module.kernel.map(() => 1)];
  }
  return fail(KIND.UNSUPPORTED_DIALECT, {
    where: `the magnitude of module ${quoteName(name)}`,
    expected: "a number for each output, as PEFT has them",
    actual: "a number for each input",
  });
}

/** The tensor of a factor. Experts have the layout that `experts.ts` describes. */
function factor(
  module: LoraModule,
  which: "a" | "b",
  element: WrittenElement,
  options: WriteOptions,
): WrittenTensor {
  const { experts, out, rank } = module;
  if (experts === 1) return writeFactor(module, which, element, "rows", options);
  return {
    element,
    shape: which === "a" ? [experts * rank, module.in] : [out, rank * experts],
    get data() {
      return factorBytes(module, which, element, options, (values) =>
        which === "a" ? values : expertsLast(module, values),
      );
    },
  };
}

/** The path that PEFT matches against patterns: the one in the key if the key has wrapper segments, else the module's name. */
function configuredPath(module: LoraModule, context: KeyContext, origin: PeftOrigin): string {
  const actual = origin.keys.get(factorKey(module, "b", context));
  const parsed = actual?.startsWith(origin.prefix)
    ? parseModuleKey(actual.slice(origin.prefix.length))
    : undefined;
  return parsed === undefined ? module.name : patternPath(parsed.path);
}

function newOrigin(adapter: Adapter, isPortable: boolean): PeftOrigin {
  return {
    ...newFileOrigin(new Map([["format", "pt"]])),
    config: synthesizeConfig(adapter, isPortable),
    prefix: PREFIX,
    adapter: undefined,
  };
}
