/**
 * Adapters and whole models: an adapter from the difference of two models.
 *
 * @module
 */
export {
  type Extracted,
  type ExtractedModule,
  type ExtractOptions,
  type ExtractReport,
  extractAdapter,
  type RestTensor,
} from "./extract/extract.ts";
export type { ShardedModel } from "./extract/model.ts";
export type { LayerChoice, RestReason } from "./extract/plan.ts";
