/**
 * Takes the fields that `config-risks.ts` lists out of an origin record before its configuration is written.
 *
 * A field that applying the factors does not need goes. A field that says what the modules of the file say too (ranks, targets) is
 * derived from them, so that the configuration describes exactly these modules. Everything else stays as it is.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { isLqaError } from "../errors.ts";
import type { Adapter, MetaValue, Origin } from "../model/adapter.ts";
import {
  type ConfigRisk,
  DERIVED_FIELDS,
  DIFFUSERS_METADATA,
  metadataRisks,
  originRisks,
  refuseDerived,
} from "./config-risks.ts";
import type { WriteOptions } from "./dialect.ts";
import { formatJson, type JsonObject, type JsonValue, parseJson } from "./json.ts";
import { synthesizeConfig } from "./peft/synthesize.ts";

/**
 * The adapter with a configuration that is safe to load. Calls `onConfigRisk` for each risky field. The adapter itself if there is
 * none, or if `keepConfig` is true.
 *
 * @throws LqaError UNSUPPORTED_DIALECT if a field would have to follow from the modules and cannot
 */
export function withoutRisks(
  adapter: Adapter,
  { keepConfig, onConfigRisk }: Pick<WriteOptions, "keepConfig" | "onConfigRisk">,
): Adapter {
  const { origin } = adapter;
  const risks = originRisks(origin, adapter);
  for (const risk of risks) onConfigRisk?.(risk);
  if (origin === undefined || risks.length === 0 || keepConfig === true) return adapter;
  const { config, metadata, ...rest } = origin;
  const safe: { dialect: string; [field: string]: MetaValue } = rest;
  // mlx-lm's writer makes a configuration where the record has none.
  if (config instanceof Uint8Array && origin.dialect !== "mlx")
    safe.config = safeConfig(config, risks, adapter);
  if (config !== undefined && !(config instanceof Uint8Array)) safe.config = config;
  if (metadata !== undefined) safe.metadata = safeMetadata(metadata, adapter);
  return { ...adapter, origin: safe as Origin };
}

function safeConfig(bytes: Uint8Array, risks: readonly ConfigRisk[], adapter: Adapter): Uint8Array {
  const config = without(objectIn(bytes), risks);
  const derived = risks.find(({ action }) => action === "derived");
  if (derived !== undefined) {
    const own = derive(adapter, derived);
    for (const field of DERIVED_FIELDS) config.delete(field);
    for (const field of DERIVED_FIELDS) if (own.has(field)) config.set(field, own.get(field)!);
  }
  return new TextEncoder().encode(formatJson(config));
}

/** The configuration that the modules determine. */
function derive(adapter: Adapter, risk: ConfigRisk): JsonObject {
  try {
    return objectIn(synthesizeConfig(adapter));
  } catch (error) {
    if (isLqaError(error, "UNSUPPORTED_DIALECT")) return refuseDerived(risk);
    throw error;
  }
}

/** diffusers derives from the tensors what its metadata does not say. */
function safeMetadata(rows: MetaValue, adapter: Adapter): MetaValue {
  if (!Array.isArray(rows)) return rows;
  return rows.flatMap((row): MetaValue[] => {
    if (!Array.isArray(row) || row[0] !== DIFFUSERS_METADATA || typeof row[1] !== "string") return [row];
    const config = objectIn(new TextEncoder().encode(row[1]));
    const risks = metadataRisks(config, adapter);
    if (risks.length === 0) return [row];
    if (risks.some(({ action }) => action === "derived")) return [];
    return [[DIFFUSERS_METADATA, formatJson(without(config, risks))]];
  });
}

function without(config: JsonObject, risks: readonly ConfigRisk[]): JsonObject {
  const out = new Set(risks.filter(({ action }) => action === "left out").map(({ field }) => field));
  return new Map([...config].filter(([field]) => !out.has(field)));
}

function objectIn(bytes: Uint8Array): JsonObject {
  const value: JsonValue = parseJson(bytes, KIND.SOURCE_CONFIG, "the configuration");
  return value instanceof Map ? value : new Map();
}
