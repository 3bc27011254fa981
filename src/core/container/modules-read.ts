/**
 * Module records (spec clause 6.7): each gets its name, its type, its plan and its chunk, in the order of checks of clause
 * 15.2. Time is linear in the records and in the bands of all modules together, which have a limit.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { CHUNK_BYTES, EXPERT_BANDS } from "../../limits.ts";
import { consistentMultiplier } from "../../model/adapter.ts";
import { checkChunkLength, type LimitCheck } from "./chunk-rules.ts";
import type { ReadIndex } from "./index-read.ts";
import { payloadLength } from "./layout.ts";
import type { NameReader } from "./names.ts";
import { type Pauses, pacer } from "./pauses.ts";
import { firstUse, type ModuleType, type Plan } from "./shared-read.ts";
import type { StartReader } from "./starts-read.ts";
import type { Extent, ModuleRecord } from "./types.ts";

/**
 * @param chunks where those of modules stand
 * @throws LqaError of classes M, V, U and L
 */
export function* readModules(
  read: ReadIndex,
  types: readonly ModuleType[],
  plans: readonly Plan[],
  names: NameReader,
  limit: LimitCheck,
  chunks: readonly Extent[],
  starts: StartReader | undefined,
): Pauses<ModuleRecord[]> {
  const next = moduleReader(read, types, plans, names, limit, chunks, starts);
  const rest = pacer();
  const modules: ModuleRecord[] = [];
  for (let i = 0; i < read.count("modules"); i++) {
    const module = next.module(i);
    modules.push(module);
    if (rest(module.bands.length)) yield;
  }
  next.finish();
  return modules;
}

/** Reads one record after the other. Not a generator, which engines optimize later or not at all. */
function moduleReader(
  read: ReadIndex,
  types: readonly ModuleType[],
  plans: readonly Plan[],
  names: NameReader,
  limit: LimitCheck,
  chunks: readonly Extent[],
  starts: StartReader | undefined,
): { module(i: number): ModuleRecord; finish(): void } {
  const column = (field: string): ((i: number) => number) => read.column("modules", field);
  const [suffix, shared] = [column("nameSuffix"), column("nameShared")];
  const [typeNumber, planNumber] = [column("moduleType"), column("plan")];
  const [reserved, lengths] = [column("reserved"), column("chunkLength")];
  const locate = read.locate("modules");
  const usedTypes = firstUse(types.length, "types", read);
  const usedPlans = firstUse(plans.length, "plans", read);
  let expertBands = 0;
  let lastType: ModuleType | undefined;
  let lastBands: Plan["bands"] | undefined;
  let payload = 0;
  let name = "";
  const where = (): string => `module "${name}"`;
  return {
    module(i) {
      const offset = locate(i);
      name = names.next(shared(i), suffix(i), "module", i, offset);
      if (i > 0 && names.order >= 0)
        fail(KIND.NAME_ORDER, { where: where(), offset, expected: "a name after the one before it" });
      const type = usedTypes(typeNumber(i), where, offset, types);
      const { bands, rank, started } = usedPlans(planNumber(i), where, offset, plans);
      if (!consistentMultiplier(type, rank))
        fail(KIND.MULTIPLIER, {
          where: where(),
          offset,
          expected: `the multiplier that ${type.rule} gives for alpha ${type.alpha} and rank ${rank}`,
          actual: type.multiplier,
        });
      expertBands += type.experts * bands.length;
      limit(expertBands, EXPERT_BANDS, "modules", i, where);
      // Neighbours are often alike; the sums over all bands of all modules are bounded anyway.
      if (type !== lastType || bands !== lastBands) payload = payloadLength(type, bands);
      [lastType, lastBands] = [type, bands];
      const chunkLength = lengths(i);
      limit(Math.max(payload, chunkLength), CHUNK_BYTES, "modules", i, where);
      if (reserved(i) !== 0)
        fail(KIND.RECORD_RESERVED_NONZERO, {
          where: where(),
          offset,
          expected: 0,
          actual: `${reserved(i)}; only drafts before 1.0 compressed modules`,
        });
      checkChunkLength(chunkLength, payload, "none", where, offset);
      // Field by field: a copy of `type` with more fields behind it is an object of another, slower kind.
      return {
        role: type.role,
        out: type.out,
        in: type.in,
        kernel: type.kernel,
        experts: type.experts,
        baseLayout: type.baseLayout,
        multiplier: type.multiplier,
        alpha: type.alpha,
        rule: type.rule,
        name,
        rank,
        bands,
        // Without the feature no encoding has a mixture.
        start: started ? starts!.next(where, rank, i) : undefined,
        compression: "none",
        payload,
        chunk: chunks[i]!,
      };
    },
    finish() {
      usedTypes.finish();
      usedPlans.finish();
      starts?.finish();
    },
  };
}
