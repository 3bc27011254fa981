/**
 * Reads the parent of a file from its index (spec clause 8.9): its content id, and the number of its module for each module of the
 * child. `read/lineage.ts` checks that the parent has such modules.
 *
 * @module
 */

import { toHex, viewOf } from "../../common/bytes.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { Where } from "./chunks-read.ts";
import type { ReadIndex } from "./index-read.ts";

/** Words of a content id. */
const ID_WORDS = 8;

/** The parent of a file, as the index states it. */
export interface ParentReader {
  /** Content id of the parent, hexadecimal. */
  readonly id: string;
  /**
   * Number of the parent's module for module `record`; undefined if it has none. Call it in order.
   *
   * @throws LqaError RECORD_REFERENCE unless numbers ascend: a reader must not decode a module of the parent twice
   */
  moduleOf(where: Where, record: number): number | undefined;
}

/** Reads the parent of a file with the feature PARENT. @throws LqaError RECORD_REFERENCE */
export function parentReader(read: ReadIndex): ParentReader {
  for (const [name, count] of [
    ["parent", ID_WORDS],
    ["parentModules", read.count("modules")],
  ] as const)
    if (read.count(name) !== count)
      fail(KIND.RECORD_REFERENCE, {
        where: name,
        offset: read.locate(name)(0) - 4,
        expected: `${count} entries`,
        actual: read.count(name),
      });
  const bytes = new Uint8Array(4 * ID_WORDS);
  const word = read.column("parent");
  for (let i = 0; i < ID_WORDS; i++) viewOf(bytes).setUint32(4 * i, word(i), true);
  const column = read.column("parentModules");
  /** The last entry that is not 0. */
  let last = 0;
  return {
    id: toHex(bytes),
    moduleOf(where, record) {
      const entry = column(record);
      if (entry === 0) return undefined;
      if (entry <= last)
        fail(KIND.RECORD_REFERENCE, {
          where: where(),
          offset: read.locate("modules")(record),
          expected: `a module of the parent behind number ${last - 1}`,
          actual: entry - 1,
        });
      last = entry;
      return entry - 1;
    },
  };
}
