/**
 * The GGUF dialect: adapters that llama.cpp loads (`general.type` adapter, `adapter.type` lora).
 *
 * A file has one alpha. llama.cpp multiplies by alpha / r, where r is the rank of each tensor, or by 1 if alpha is
 * 0 or absent. If the modules need several alphas, the writer folds their multipliers into B. Weights of norms, which
 * llama.cpp ignores, are carried.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { f16ToNumber } from "../../floats.ts";
import type { Adapter, MetaValue } from "../../model/adapter.ts";
import type { FileContent } from "../../model/content.ts";
import { scaleByAlpha, UNSCALED } from "../alpha.ts";
import { foldMultipliers } from "../bake.ts";
import { cursorOf } from "../cursor.ts";
import type { Dialect, ReadSettings, WriteOptions } from "../dialect.ts";
import { isFactorElement } from "../elements.ts";
import { quoteName } from "../json.ts";
import { badOrigin, originBytes } from "../origin.ts";
import type { SafeTensor } from "../safetensors.ts";
import type { Source } from "../source.ts";
import type { Convention } from "../state-dict/convention.ts";
import { readStateDict } from "../state-dict/read.ts";
import { writeStateDict } from "../state-dict/write.ts";
import type { TensorFile } from "../tensor-file.ts";
import { readMetadata } from "./metadata.ts";
import { alignmentOf, DEFAULT_ALIGNMENT, type Gguf, type GgufTensor, isGguf, readGguf } from "./read.ts";
import { type GgufPairs, ggufContent, ggufPairs } from "./write.ts";

const ALPHA = "adapter.lora.alpha";
const KEY = /^(.+)\.weight\.lora_([ab])$/;

function convention(alpha: number): Convention {
  return {
    name: "gguf",
    file: "adapter.gguf",
    layout: "stacked",
    parse(key) {
      const found = KEY.exec(key);
      if (found !== null) return { kind: "part", part: found[2] as "a" | "b", module: found[1]!, style: "" };
      return /_norm\.weight$/.test(key) ? { kind: "tensor", role: "carried", name: key } : undefined;
    },
    key: ({ name }, part) => `${name}.weight.lora_${part}`,
    isEmbedding: (name) => name === "token_embd",
    scale: (_module, rank) => (alpha === 0 ? UNSCALED : scaleByAlpha(alpha, rank)),
    roles: [],
  };
}

function read(source: Source, settings: ReadSettings): Adapter {
  const { name, bytes } = source.weights ?? fail(KIND.UNSUPPORTED_DIALECT, { expected: "one GGUF file" });
  const file = readGguf(bytes.subarray(0, bytes.length));
  const { metadata } = file;
  checkType(file);
  const alpha = metadata.get(ALPHA) ?? 0;
  if (typeof alpha !== "number" || !Number.isFinite(alpha)) {
    return fail(KIND.SOURCE_CONFIG, {
      where: `GGUF key ${ALPHA}`,
      expected: "a number",
      actual: String(alpha),
    });
  }
  if (alpha === 0) settings.onNote?.("The file has no alpha, or one of 0: llama.cpp multiplies by 1.");
  const tensors = tensorsOf(file, settings);
  const adapter = readStateDict(tensors, name, convention(alpha), settings, { pairs: file.pairs });
  const architecture = metadata.get("general.architecture");
  const meta: { [key: string]: MetaValue } = { ...adapter.meta };
  if (typeof architecture === "string") meta.architecture = architecture;
  return { ...adapter, meta };
}

function checkType({ metadata }: Gguf): void {
  const type = metadata.get("general.type");
  const kind = metadata.get("adapter.type");
  if (type !== "adapter" || kind !== "lora") {
    const model = type === undefined || type === "model";
    fail(KIND.UNSUPPORTED_ADAPTER_FEATURE, {
      ...(model && {
        summary: "This is a whole model in GGUF, not an adapter.",
        advice:
          "Give the adapter itself. To make one of a fine-tuned model, give the model in safetensors to mergekit-extract-lora.",
      }),
      where: "the GGUF file",
      expected: "an adapter of type lora",
      actual: `${String(type ?? "a model").slice(0, 40)}, ${String(kind ?? "no adapter type").slice(0, 40)}`,
    });
  }
  if (metadata.has("adapter.alora.invocation_tokens")) {
    fail(KIND.UNSUPPORTED_ADAPTER_FEATURE, {
      where: "GGUF key adapter.alora.invocation_tokens",
      expected: "an adapter that is always active",
      actual: "one that acts only after a token sequence (aLoRA)",
    });
  }
}

/** The tensors, axes outermost first. Unpacks Q8_0, the only quantized type that converters write, to F32, which is exact. */
function tensorsOf({ tensors }: Gguf, settings: ReadSettings): TensorFile {
  const result = new Map<string, SafeTensor>();
  let blocks = 0;
  for (const [key, tensor] of tensors) {
    const { type, dims, data } = tensor;
    const shape = [...dims].reverse();
    if (type === "Q8_0") {
      blocks++;
      result.set(key, {
        element: "F32",
        shape,
        get data() {
          return unpackQ8(tensor);
        },
      });
    } else if (isFactorElement(type)) {
      result.set(key, { element: type, shape, data });
    } else {
      fail(KIND.SOURCE_ELEMENT_TYPE, {
        where: `tensor ${quoteName(key)}`,
        expected: "F32, F16, BF16 or Q8_0",
        actual: type,
      });
    }
  }
  if (blocks > 0)
    settings.onNote?.(`${blocks} tensors of Q8_0 become F32, exactly; they are not packed again.`);
  return { metadata: undefined, tensors: result };
}

/** Unpacks blocks of an F16 scale and 32 signed bytes to F32. */
function unpackQ8({ data }: GgufTensor): Uint8Array {
  const values = new Float32Array((data.length / 34) * 32);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let at = 0, to = 0; at < data.length; at += 34) {
    const scale = f16ToNumber(view.getUint16(at, true));
    for (let i = 0; i < 32; i++) values[to++] = scale * view.getInt8(at + 2 + i);
  }
  return new Uint8Array(values.buffer);
}

function write(adapter: Adapter, options: WriteOptions): Map<string, FileContent> {
  const own = adapter.origin?.dialect === "gguf" ? adapter.origin : undefined;
  const kept =
    own === undefined ? undefined : keptPairs(originBytes(own, "pairs") ?? badOrigin("pairs", "bytes"));
  const common = commonAlpha(adapter);
  const alpha = kept?.alpha ?? common ?? 0;
  const folded = kept === undefined && common === undefined ? foldMultipliers(adapter, options) : adapter;
  const { name, tensors, order } = writeStateDict(folded, convention(alpha), options);
  const { architecture } = adapter.meta;
  if (kept === undefined && typeof architecture !== "string") {
    fail(KIND.UNSUPPORTED_DIALECT, {
      where: "the adapter",
      expected: "the architecture of its base model",
      actual: "none",
      advice: "Give the base model with --base.",
    });
  }
  const pairs =
    kept ??
    ggufPairs(
      new Map<string, string | number>([
        ["general.architecture", architecture as string],
        ["general.type", "adapter"],
        ["adapter.type", "lora"],
        [ALPHA, alpha],
      ]),
    );
  return new Map([[name, ggufContent(pairs, tensors, order)]]);
}

/** The alpha that gives every module its multiplier; 0 if all multipliers are 1; undefined if no alpha does. */
function commonAlpha({ modules }: Adapter): number | undefined {
  const [first] = modules;
  if (modules.every(({ multiplier }) => multiplier === 1)) return 0;
  const alpha = first === undefined ? 0 : Math.fround(first.multiplier * first.rank);
  const fits =
    alpha !== 0 && modules.every(({ multiplier, rank }) => Math.fround(alpha / rank) === multiplier);
  return fits ? alpha : undefined;
}

/** The pairs of the source file, and its alpha. @throws LqaError SOURCE_HEADER, TRUNCATED_SOURCE */
function keptPairs(bytes: Uint8Array): GgufPairs & { readonly alpha: number } {
  const cursor = cursorOf(bytes, 'origin record field "pairs"');
  let count = 0;
  const metadata = new Map();
  while (cursor.at < bytes.length) {
    for (const [key, value] of readMetadata(cursor, 1)) metadata.set(key, value);
    count++;
  }
  const alpha = metadata.get(ALPHA) ?? 0;
  const alignment = metadata.has("general.alignment") ? alignmentOf(cursor, metadata) : DEFAULT_ALIGNMENT;
  return { count, bytes, alignment, alpha: typeof alpha === "number" ? alpha : 0 };
}

/** See {@link Dialect}. */
export const gguf: Dialect = {
  name: "gguf",
  title: "GGUF adapter (llama.cpp)",
  naming: "gguf",
  detect: ({ weights }) => weights !== undefined && isGguf(weights.bytes.subarray(0, 4)),
  read,
  write,
};
