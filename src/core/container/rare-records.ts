/**
 * Interprets an index that has records that few files have: plain tensors, a start, a parent. Readers import this file with the
 * first such index.
 *
 * @module
 */
import type { Pauses } from "./chunks-read.ts";
import type { ReadIndex } from "./index-read.ts";
import { parentReader } from "./parent-record.ts";
import { type Interpreted, type InterpretOptions, interpretIndex } from "./records-read.ts";
import { startReader } from "./start-record.ts";
import { checkRoles, readTensors } from "./tensor-records.ts";

const RARE = { startReader, parentReader, readTensors, checkRoles };

/** As {@link interpretIndex}, for any index. */
export function interpretRareIndex(read: ReadIndex, options: InterpretOptions): Pauses<Interpreted> {
  return interpretIndex(read, options, RARE);
}
