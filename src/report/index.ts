/**
 * Inspects files and measures encodings: inspections, comparisons, differences, and pages that draw them.
 *
 * @module
 */
export type { ByteKind, ByteMap } from "./byte-map.ts";
export type { CodeCounts } from "./code-counts.ts";
export {
  type ComparedMethod,
  type CompareOptions,
  type Comparison,
  compareAdapter,
  comparisonCurve,
  type Match,
  type Measured,
} from "./compare.ts";
export {
  type AdapterDiff,
  type DiffSide,
  diffAdapters,
  type FieldChange,
  type ModuleChange,
  type TensorChange,
} from "./diff.ts";
export {
  type InspectedModule,
  type Inspection,
  type InspectOptions,
  inspectLqa,
  type ModuleLoss,
  type SourceFindings,
} from "./inspection.ts";
export type { LayerPlace } from "./layers.ts";
export { type CardOptions, modelCard } from "./model-card.ts";
export { drawReport, type ReportContext } from "./page/page.ts";
export { drawRdCurve, type RdCurve, type RdMethod, type RdPoint } from "./rd-curve-svg.ts";
