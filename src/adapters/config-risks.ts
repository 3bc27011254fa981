/**
 * Fields of an adapter's configuration that make the program that loads it import a module, open or write a path, search with
 * a regular expression forever, or allocate memory that the tensors of the file do not need.
 *
 * The origin record keeps a configuration byte for byte, so the author of an `.lqa` file decides what `adapter_config.json` says
 * after decoding, and PEFT, transformers, diffusers or mlx-lm then act on it. This is the one list of such fields; SECURITY.md
 * has it as a table, with the fields that are safe. {@link withoutRisks} removes them before the configuration is written.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError } from "../errors.ts";
import type { LoraModule, MetaValue, Origin, PlainTensor } from "../model/adapter.ts";
import { configurationMeter, type JsonObject, type JsonValue, parseJson, quoteName } from "./json.ts";
import { isUnknown } from "./peft/fields.ts";
import { searchesLong } from "./peft/slow-pattern.ts";

/** A field of a configuration, and what a program does that loads it. */
export interface ConfigRisk {
  /** The field. In the metadata of diffusers, with the component: `transformer.auto_mapping`. */
  readonly field: string;
  /** What the program does, as the end of a sentence that begins with the field. */
  readonly risk: string;
  /** `left out`: the field goes. `derived`: its value follows from the modules. `refused`: the file cannot be written. */
  readonly action: "left out" | "derived" | "refused";
}

/** What the risk of a field depends on: the adapter that the configuration is for. */
export interface RiskContext {
  readonly modules: readonly Pick<LoraModule, "rank">[];
  readonly tensors: readonly Pick<PlainTensor, "role">[];
}

interface RiskyField {
  readonly action: ConfigRisk["action"];
  readonly risk: string;
  readonly risky: (value: JsonValue, context: RiskContext) => boolean;
}

/** Modules of these packages may be imported: PEFT 0.20 and later allow no others but those of lerobot and Megatron. */
const TRUSTED_PACKAGE = /^(transformers|diffusers)(\.\w+)*$/;
/** Samples that PEFT 0.20 draws by default for each matrix: 150 times 8. */
const USUAL_SAMPLES = 1200;
/** A share of another machine, or an address. */
const NETWORK_PATH = /^(?:[\\/]{2}|\w+:\/\/)/;
const SLOW = "is a regular expression that Python may search forever";
const ALLOCATES = "makes PEFT allocate more than the tensors of the file need";

/** Of a field that no version until this one acts on. */
const UNKNOWN = "is not known to this version, and a later PEFT may act on it";

const RISKY_FIELDS: ReadonlyMap<string, RiskyField> = new Map<string, RiskyField>([
  [
    "auto_mapping",
    {
      action: "left out",
      risk: "names a module that PEFT imports",
      risky: (value) => isSet(value) && !TRUSTED_PACKAGE.test(textOf(at(value, "parent_library"))),
    },
  ],
  [
    "megatron_core",
    {
      action: "left out",
      risk: "names a module that PEFT imports",
      risky: (value) => isSet(value) && value !== "megatron.core",
    },
  ],
  [
    "megatron_config",
    { action: "refused", risk: "makes PEFT import the module in megatron_core", risky: isSet },
  ],
  [
    "corda_config",
    {
      action: "left out",
      risk: "names files that PEFT unpickles and writes",
      risky: (value) => isSet(at(value, "cache_file")) || isSet(at(value, "covariance_file")),
    },
  ],
  [
    "base_model_name_or_path",
    {
      action: "left out",
      risk: "names a base model on another machine, which PEFT opens",
      risky: (value) => NETWORK_PATH.test(textOf(value)),
    },
  ],
  [
    "monteclora_config",
    {
      action: "left out",
      risk: ALLOCATES,
      risky: (value) =>
        value instanceof Map &&
        !(count(value, "buffer_size", 150) * count(value, "num_samples", 8) <= USUAL_SAMPLES),
    },
  ],
  ["layer_replication", { action: "refused", risk: "makes PEFT repeat layers of the model", risky: isSet }],
  ["r", { action: "derived", risk: ALLOCATES, risky: isAboveRanks }],
  [
    "rank_pattern",
    {
      action: "derived",
      risk: `${ALLOCATES}, or ${SLOW}`,
      risky: (value, context) =>
        value instanceof Map &&
        [...value].some(([key, rank]) => searchesLong(key) || isAboveRanks(rank, context)),
    },
  ],
  [
    "alpha_pattern",
    { action: "derived", risk: SLOW, risky: (value) => value instanceof Map && hasSlow([...value.keys()]) },
  ],
  ["target_modules", { action: "derived", risk: SLOW, risky: (value) => hasSlow([value]) }],
  ["exclude_modules", { action: "derived", risk: SLOW, risky: (value) => hasSlow([value]) }],
  [
    "layers_pattern",
    { action: "derived", risk: SLOW, risky: (value) => hasSlow(Array.isArray(value) ? value : [value]) },
  ],
  [
    "trainable_token_indices",
    {
      action: "derived",
      risk: ALLOCATES,
      risky: (value, { tensors }) => isSet(value) && !tensors.some(({ role }) => role === "token-rows"),
    },
  ],
]);

/** The fields that follow from the modules, and are written together. */
export const DERIVED_FIELDS: readonly string[] = [
  ...["r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora"],
  ...[
    "target_modules",
    "exclude_modules",
    "layers_to_transform",
    "layers_pattern",
    "trainable_token_indices",
  ],
];

/** The risks of a configuration of PEFT, in its order. */
export function risksOf(config: JsonObject, context: RiskContext): ConfigRisk[] {
  const found: ConfigRisk[] = [];
  for (const [field, value] of config) {
    const known = RISKY_FIELDS.get(field);
    if (known?.risky(value, context) === true) found.push({ field, risk: known.risk, action: known.action });
    else if (isUnknown(field, value)) found.push({ field, risk: UNKNOWN, action: "left out" });
  }
  return found;
}

/** The key of the metadata in which diffusers 0.34 and later keep the configurations of all components. */
export const DIFFUSERS_METADATA = "lora_adapter_metadata";

/**
 * The risks of what an origin record (spec clause 10.3) makes a decoder write, without decoding. Empty for a record without a
 * configuration, and for a configuration that the writer refuses.
 */
export function originRisks(origin: Origin | undefined, context: RiskContext): ConfigRisk[] {
  try {
    const config = origin?.config instanceof Uint8Array ? parsed(origin.config) : undefined;
    const own =
      config === undefined
        ? []
        : origin?.dialect === "mlx"
          ? mlxRisks(config, context)
          : risksOf(config, context);
    return [...own, ...metadataRisks(metadataOf(origin?.metadata), context)];
  } catch (error) {
    if (isLqaError(error)) return [];
    throw error;
  }
}

/** The risks of a configuration of mlx-lm, which makes layers of the rank that it states. */
export function mlxRisks(config: JsonObject, context: RiskContext): ConfigRisk[] {
  const rank = at(config.get("lora_parameters") ?? null, "rank");
  if (!isAboveRanks(rank, context)) return [];
  return [
    {
      field: "lora_parameters",
      risk: "makes mlx-lm allocate more than the tensors of the file need",
      action: "derived",
    },
  ];
}

/** The risks of the configurations in the metadata of a file of diffusers, each with its component. */
export function metadataRisks(config: JsonObject | undefined, context: RiskContext): ConfigRisk[] {
  return [...(config ?? [])].flatMap(([name, value]) => {
    const field = name.slice(name.indexOf(".") + 1);
    return risksOf(new Map([[field, value]]), context).map((risk) => ({ ...risk, field: name }));
  });
}

function metadataOf(rows: MetaValue | undefined): JsonObject | undefined {
  if (!Array.isArray(rows)) return undefined;
  const row = rows.find((each) => Array.isArray(each) && each[0] === DIFFUSERS_METADATA);
  const text = Array.isArray(row) ? row[1] : undefined;
  return typeof text === "string" ? parsed(new TextEncoder().encode(text)) : undefined;
}

function parsed(bytes: Uint8Array): JsonObject | undefined {
  const where = "the configuration";
  const value = parseJson(bytes, KIND.SOURCE_CONFIG, where, configurationMeter(where));
  return value instanceof Map ? value : undefined;
}

/** Throws for a field that must follow from the modules, if the modules do not determine it. */
export function refuseDerived({ field, risk }: ConfigRisk): never {
  return fail(KIND.UNSUPPORTED_DIALECT, {
    where: `adapter_config.json field ${quoteName(field)}`,
    expected: "a value that the modules of the file give",
    actual: `one that ${risk}`,
    advice: "If you trust the file, give --keep-config.",
  });
}

/** A risk as a sentence. @param kept whether the field is written nevertheless */
export function riskSentence({ field, risk, action }: ConfigRisk, kept: boolean): string {
  const name = quoteName(field);
  if (kept) return `The configuration has ${name}, which ${risk}.`;
  return action === "derived"
    ? `${name} follows from the modules: the one of the file ${risk}. --keep-config keeps it.`
    : `${name} is left out: it ${risk}. --keep-config keeps it.`;
}

/** True for values that are true in Python: others turn an option off. */
function isSet(value: JsonValue): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  return value !== null && value !== false && value !== 0 && value !== "";
}

function at(value: JsonValue, field: string): JsonValue {
  return value instanceof Map ? (value.get(field) ?? null) : null;
}

function textOf(value: JsonValue): string {
  return typeof value === "string" ? value : "";
}

function count(value: JsonObject, field: string, usual: number): number {
  const given = value.get(field) ?? usual;
  return typeof given === "number" ? given : Number.NaN;
}

function isAboveRanks(rank: JsonValue, { modules }: RiskContext): boolean {
  return typeof rank === "number" && modules.every((module) => module.rank < rank);
}

function hasSlow(patterns: readonly JsonValue[]): boolean {
  return patterns.some((pattern) => typeof pattern === "string" && searchesLong(pattern));
}
