/**
 * The dialects that this version knows, and functions that read and write an adapter in any of them.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { type Adapter, type ModuleShape, shapeOf, withFactors } from "../model/adapter.ts";
import { checkBaseShape } from "../model/base-shape.ts";
import { type FileContent, joinContent } from "../model/content.ts";
import { cloneofsimo } from "./cloneofsimo.ts";
import type { Dialect, DialectName, ReadOptions, SourceFiles, WriteOptions } from "./dialect.ts";
import { diffusers, refuseProcessorNames } from "./diffusers.ts";
import { gguf } from "./gguf/adapter.ts";
import { refuseOthers } from "./identify.ts";
import { quoteName } from "./json.ts";
import { kohya, refuseKohyaNames } from "./kohya.ts";
import { loralib } from "./loralib.ts";
import { mlx } from "./mlx.ts";
import type { BaseDescription } from "./naming/base-description.ts";
import { translate } from "./naming/translate.ts";
import { onnx } from "./onnx/index.ts";
import { sourceElementPairs } from "./origin.ts";
import { peft } from "./peft/index.ts";
import { withoutRisks } from "./safe-config.ts";
import { openSource, type Source } from "./source.ts";
import { widenTensors } from "./widen.ts";

/** All dialects, in the order in which lists show them. */
export const DIALECTS: readonly Dialect[] = [peft, kohya, diffusers, cloneofsimo, loralib, mlx, gguf, onnx];

/**
 * Reads an adapter, in the dialect that its files match or in the requested one.
 *
 * @throws LqaError UNSUPPORTED_DIALECT for a file that is not an adapter (the error says what it is), and if no dialect or
 *   several recognize the files; UNSUPPORTED_ADAPTER_FEATURE for adapters of other methods; USAGE for an alpha or multiplier
 *   with files that state their own; otherwise as `Dialect.read`
 */
export function readAdapter(files: SourceFiles, options: ReadOptions = {}): Adapter {
  const source = openSource(files);
  refuseOthers(source);
  const dialect = options.from === undefined ? detectDialect(source) : dialectNamed(options.from);
  if (dialect.scaleOutside !== true && options.scaleIfMissing !== true) refuseScale(dialect, options);
  const adapter = dialect.read(source, options);
  return options.lazy ? adapter : { ...adapter, modules: adapter.modules.map(withFactors) };
}

function refuseScale({ name }: Dialect, { alpha, multiplier }: ReadOptions): void {
  const given = alpha === undefined ? (multiplier === undefined ? undefined : "multiplier") : "alpha";
  if (given === undefined) return;
  fail(KIND.USAGE, {
    where: given,
    expected: `none: the multipliers of ${name} adapters follow from their files`,
    actual: alpha ?? multiplier,
    advice: `Leave out --${given}. To change what an adapter adds, scale it in the program that loads it.`,
  });
}

function detectDialect(source: Source): Dialect {
  const candidates = DIALECTS.filter((dialect) => dialect.detect(source));
  const [first] = candidates;
  if (first !== undefined && candidates.length === 1) return first;
  if (first !== undefined) {
    return fail(KIND.UNSUPPORTED_DIALECT, {
      where: source.weights === undefined ? undefined : `file ${quoteName(source.weights.name)}`,
      expected: "files of one dialect",
      actual: `what may be ${candidates.map(({ name }) => name).join(" or ")}`,
      advice: `Say which it is: --from ${candidates.map(({ name }) => name).join(" or --from ")}.`,
    });
  }
  // If the file is unreadable, this throws the reason.
  const keys = source.tensors().tensors.keys();
  return fail(KIND.UNSUPPORTED_DIALECT, {
    summary: "The tensors have names of a convention that is unknown to this version.",
    where: `file ${quoteName(source.weights?.name ?? "")}`,
    expected: `an adapter of ${DIALECTS.map(({ name }) => name).join(", ")}`,
    actual: [...keys].slice(0, 3).map(quoteName).join(", "),
    advice: "Load the adapter with the tool it came from and save it with PEFT.",
  });
}

function dialectNamed(name: DialectName): Dialect {
  const dialect = DIALECTS.find((each) => each.name === name);
  if (dialect !== undefined) return dialect;
  const expected = DIALECTS.map((each) => each.name).join(", ");
  return fail(KIND.USAGE, { where: "the dialect", expected, actual: quoteName(String(name)) });
}

/**
 * Writes an adapter in the dialect that it came from, or in `options.to`; as a PEFT directory if neither is a dialect of this
 * version. Plain tensors get the element types that they had in the source, even if the `.lqa` file holds them as F16.
 *
 * Between dialects that name layers differently, the names are translated; a name that cannot be translated is an error.
 *
 * @throws LqaError UNSUPPORTED_DIALECT if the dialect cannot express the adapter; BASE_MODULE_MISSING and BASE_SHAPE if the
 * adapter does not fit the GGUF base model; SOURCE_RANGE if a factor overflows the chosen element type
 */
export function writeAdapter(adapter: Adapter, options: WriteOptions): Map<string, Uint8Array> {
  return new Map(
    [...adapterContent(adapter, options)].map(([name, content]) => [name, joinContent(content)]),
  );
}

/**
 * As {@link writeAdapter}, with each file in pieces: the factors of a module are read when they are written, and not kept.
 *
 * @internal
 * @throws LqaError as {@link writeAdapter} and `checkBase`; SOURCE_RANGE when the piece is taken
 */
export function adapterContent(adapter: Adapter, options: WriteOptions): Map<string, FileContent> {
  const origin = DIALECTS.find(({ name }) => name === adapter.origin?.dialect);
  const target = options.to === undefined ? (origin ?? peft) : dialectNamed(options.to);
  const eightBits = options.factors === "F8_E4M3";
  const portable = options.portable === true || eightBits;
  if (portable && target !== peft) {
    fail(KIND.USAGE, {
      where: eightBits ? "factors of 8 bits" : "portable",
      expected: "dialect peft, which servers load",
      actual: target.name,
    });
  }
  // Another dialect writes nothing of the source's configuration, and neither does the portable form.
  const kept = origin === target && !portable;
  const widened = widenTensors(kept ? withoutRisks(adapter, options) : adapter);
  const pairs = sourceElementPairs(origin === undefined ? { ...adapter, origin } : adapter);
  const write = (named: Adapter): Map<string, FileContent> => {
    const elements = new Map(named.modules.map(({ name }, place) => [name, pairs[place]!]));
    return target.write(named, { ...options, elements });
  };
  const checkBase = ({ modules }: Adapter, gguf: boolean): void =>
    gguf ? checkGgufBase(modules, options.base) : options.checkBase?.(modules);
  checkBase(widened, origin?.naming === "gguf");
  if (origin === undefined || origin === target) return write(widened);
  if (origin === kohya) refuseKohyaNames(widened, target.name);
  if (origin === diffusers) refuseProcessorNames(widened);
  // Translation changes names but not the order of the modules.
  const translated = translate(widened, origin.naming, target.naming, options);
  const [before, after] = [origin.naming === "gguf", target.naming === "gguf"];
  if (before !== after) checkBase(translated, after);
  return write(translated);
}

/**
 * Refuses modules, under llama.cpp's names, that do not fit the weights of a base model. llama.cpp stores weights as (out, in).
 *
 * @throws LqaError BASE_MODULE_MISSING, BASE_SHAPE
 */
function checkGgufBase(modules: readonly ModuleShape[], base: BaseDescription | undefined): void {
  const shapes = base?.shapes;
  if (shapes === undefined) return;
  for (const module of modules) {
    const baseLayout = module.role === "embedding" ? "in-out" : "out-in";
    checkBaseShape({ ...shapeOf(module), baseLayout }, shapes.get(`${module.name}.weight`));
  }
}
