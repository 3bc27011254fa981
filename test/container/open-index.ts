/** Prologue and index of a file in memory, without waiting. */

import { withoutPauses } from "../../src/core/container/chunks-read.ts";
import { readIndex } from "../../src/core/container/index-read.ts";
import { PROLOGUE_BYTES, readPrologue, vectorsWith } from "../../src/core/container/prologue.ts";
import { interpretRareIndex } from "../../src/core/container/rare-records.ts";
import type { ContainerIndex, Prologue } from "../../src/core/index.ts";

export function openIndex(bytes: Uint8Array): { prologue: Prologue; index: ContainerIndex } {
  const prologue = readPrologue(bytes.subarray(0, PROLOGUE_BYTES), "core");
  const indexBytes = bytes.subarray(PROLOGUE_BYTES, PROLOGUE_BYTES + prologue.indexLength);
  const read = readIndex(indexBytes, PROLOGUE_BYTES, vectorsWith(prologue));
  const { index } = withoutPauses(interpretRareIndex(read, { prologue, limits: "core" }));
  return { prologue, index };
}
