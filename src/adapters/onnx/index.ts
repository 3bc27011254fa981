/**
 * The ONNX dialect: `.onnx_adapter` files of ONNX Runtime, whose tensors are inputs of a graph by name, and the
 * `adapter_weights.npz` and `.fb` that Olive and ONNX Runtime GenAI make as intermediate files.
 *
 * The graph multiplies from the right, so factors are [in, r] and [r, out]. The file has nothing but tensors, so the
 * multiplier is folded into B. The writer keeps what programs add to the names (`.lora_A.MatMul.weight`).
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { Adapter } from "../../model/adapter.ts";
import { contentOf } from "../../model/content.ts";
import { UNSCALED } from "../alpha.ts";
import type { Dialect, WriteOptions } from "../dialect.ts";
import { quoteName } from "../json.ts";
import { badOrigin, originString } from "../origin.ts";
import { isInputEmbedding } from "../peft/keys.ts";
import type { Source } from "../source.ts";
import type { Convention } from "../state-dict/convention.ts";
import { readStateDict } from "../state-dict/read.ts";
import { writeStateDict } from "../state-dict/write.ts";
import { assertKeyLength } from "../tensor-file.ts";
import { isOnnxAdapter, readOnnxAdapter, writeOnnxAdapter } from "./file.ts";

const KEY = /^(.+)\.lora_([AB])((?:\.[A-Za-z_]+)*)$/;
const USUAL = ".weight";

const convention: Convention = {
  name: "onnx",
  file: "adapter.onnx_adapter",
  layout: "columns",
  parse(key) {
    const found = KEY.exec(key);
    if (found === null) return undefined;
    return { kind: "part", part: found[2] === "A" ? "a" : "b", module: found[1]!, style: found[3]! };
  },
  key: ({ name }, part, style = USUAL) => `${name}.lora_${part.toUpperCase()}${style}`,
  isEmbedding: isInputEmbedding,
  scale: () => UNSCALED,
  roles: [],
};

/** Names of factors in an npz file of Olive, which has the graph's orientation and no configuration. */
const NPZ_KEY = /\.lora_[AB]\.(?:[A-Za-z_]+\.)*weight$/;

/** True for an npz file with ONNX's names of factors. */
export function isOnnxNpz({ weights, keys, config }: Source): boolean {
  return (
    config === undefined &&
    weights !== undefined &&
    /\.npz$/i.test(weights.name) &&
    keys.some((key) => NPZ_KEY.test(key))
  );
}

/** See {@link Dialect}. */
export const onnx: Dialect = {
  name: "onnx",
  title: "ONNX Runtime adapter (.onnx_adapter), and its forerunners (.npz with ….lora_A.weight, .fb)",
  naming: "model",
  detect: (source) =>
    (source.weights !== undefined && isOnnxAdapter(source.weights.bytes.subarray(0, 8))) || isOnnxNpz(source),
  read(source, settings) {
    if (isOnnxNpz(source)) return readStateDict(source.tensors(), source.weights!.name, convention, settings);
    const { name, bytes } =
      source.weights ?? fail(KIND.UNSUPPORTED_DIALECT, { expected: "one .onnx_adapter file" });
    const { adapterVersion, modelVersion, tensors } = readOnnxAdapter(bytes.subarray(0, bytes.length));
    for (const key of tensors.keys()) assertKeyLength(key, name);
    const file = { metadata: undefined, tensors: new Map(tensors) };
    return readStateDict(file, name, convention, settings, { versions: `${adapterVersion} ${modelVersion}` });
  },
  write(adapter: Adapter, options: WriteOptions) {
    const wide = adapter.modules.find(({ kernel, experts }) => kernel.length > 0 || experts > 1);
    if (wide !== undefined) {
      fail(KIND.UNSUPPORTED_DIALECT, {
        where: `module ${quoteName(wide.name)}`,
        expected: "linear layers, whose factors a graph can multiply by",
        actual: wide.experts > 1 ? "experts" : wide.role,
      });
    }
    const own = adapter.origin?.dialect === "onnx" ? adapter.origin : undefined;
    const versions = (own && originString(own, "versions")) ?? "1 1";
    if (!/^-?\d{1,10} -?\d{1,10}$/.test(versions)) badOrigin("versions", "two integers");
    const [adapterVersion, modelVersion] = versions.split(" ").map(Number) as [number, number];
    const { name, tensors, order } = writeStateDict(adapter, convention, options);
    const file = name.replace(/\.(npz|fb)$/, ".onnx_adapter");
    return new Map([[file, contentOf(writeOnnxAdapter({ adapterVersion, modelVersion, tensors }, order))]]);
  },
};
