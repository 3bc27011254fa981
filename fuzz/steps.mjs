// Runs the steps of a reader over bytes in memory, without waiting.
import { interpretRareIndex } from "../dist/core/container/rare-records.js";
import { feedOf } from "../dist/core/read/feed.js";
import { headerSteps } from "../dist/core/read/header.js";

/** @param at where the steps begin */
export function runOver(bytes, steps, at = 0) {
  const feed = feedOf(bytes, at);
  let step = steps.next();
  while (step.done !== true) step = steps.next(feed.take(step.value.bytes));
  return step.value;
}

/** Reads and checks prologue and index; the chunks may be missing. */
export function openIndex(bytes, limits = "core") {
  return runOver(bytes, headerSteps(limits, interpretRareIndex));
}
