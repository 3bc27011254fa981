/**
 * The events of a stream, in file order: the header, each module, plain tensor and section, and the end.
 *
 * @module
 */

import type { PlainTensor } from "../../model/adapter.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import type { MetaMap } from "../container/meta.ts";
import type { Prologue } from "../container/prologue.ts";
import type { ContainerIndex, ModuleRecord, SectionRecord, TensorRecord } from "../container/types.ts";
import type { DecodedModule, DecodeOptions, WeightType } from "./decode.ts";
import type { VerifiedIds } from "./verify.ts";

/** Prologue and index have passed their checks. The index lists all that follows. */
export interface HeaderEvent {
  readonly type: "header";
  readonly prologue: Prologue;
  readonly index: ContainerIndex;
}

/** A module of a file that has passed its checks: CRC-32, padding, values. */
export interface PackedModule {
  readonly record: ModuleRecord;
  /** The planes as they are stored (spec 7.2), without the CRC-32: to keep or to copy them. */
  readonly payload: Uint8Array;
  /** The planes one by one, as views on `payload`; with those of the parent if the caller has provided it. */
  readonly factors: PackedFactors;
  /** Decodes the factors, at any time. @throws LqaError BUDGET, TARGET_SIZE, PARENT_MISSING */
  decode<T extends WeightType = "f32">(options?: DecodeOptions<T>): DecodedModule<T>;
}

/** A module has arrived and passed its checks. The planes belong to the receiver. */
export interface ModuleEvent extends PackedModule {
  readonly type: "module";
}

/** A plain tensor has arrived and passed its checks: CRC-32, values. The data belongs to the receiver. */
export interface TensorEvent {
  readonly type: "tensor";
  readonly record: TensorRecord;
  readonly tensor: PlainTensor;
}

/** A section has arrived and passed its CRC-32. */
export interface SectionEvent {
  readonly type: "section";
  readonly record: SectionRecord;
  /** The payload, not compressed. */
  readonly data: Uint8Array;
  /** The content of META or ORIG; undefined for sections that this version does not know. */
  readonly map: MetaMap | undefined;
}

/** The input has ended, and all of it is unchanged. Earlier events are final only now. */
export interface EndEvent extends VerifiedIds {
  readonly type: "end";
}

/** One event of a file that is read from its first byte on. */
export type LqaEvent = HeaderEvent | ModuleEvent | TensorEvent | SectionEvent | EndEvent;
