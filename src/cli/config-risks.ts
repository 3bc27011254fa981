/**
 * The fields of a source's configuration that are a risk for who loads it after decoding, for commands that read `.lqa` files only.
 *
 * @module
 */
import type { ConfigRisk, RiskContext } from "../adapters/config-risks.ts";
import { type Warning, warning } from "../core/validate/validation.ts";
import type { Origin } from "../model/adapter.ts";

/** As `originRisks`. Loads its code for a record with a configuration only. */
export async function sourceRisks(origin: Origin | undefined, context: RiskContext): Promise<ConfigRisk[]> {
  if (origin?.config === undefined && origin?.metadata === undefined) return [];
  const { originRisks } = await import("../adapters/config-risks.ts");
  return originRisks(origin, context);
}

/** A risk as a warning of a validation. */
export function riskWarning({ field, risk }: ConfigRisk): Warning {
  return warning("CONFIG_FIELD", { where: `field ${JSON.stringify(field)}`, actual: `one that ${risk}` });
}
