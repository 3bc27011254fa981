// The push decoder, with the input cut at random: same first error as the validator, wherever it is cut, and an object
// that repeats its error and holds nothing afterwards.
import { LqaDecoder } from "../../dist/core/read/stream.js";
import { validate } from "../../dist/core/validate/validate.js";
import { asyncOutcome, BUDGET, expect, target } from "../contract.mjs";
import { prepared, zstd } from "../file.mjs";

export const fuzz = target(async (input, variant) => {
  const bytes = prepared(input, variant);
  const decoder = new LqaDecoder(() => {}, { zstd, budgetBytes: BUDGET });
  let seed = (variant * 2654435761 + bytes.length) >>> 0;
  const { error } = await asyncOutcome(async () => {
    for (let at = 0; at < bytes.length; ) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      const step = seed >>> 30 === 0 ? 1 : 1 + ((seed >>> 8) % 700);
      await decoder.push(bytes.subarray(at, at + step));
      at += step;
    }
    return decoder.end();
  });
  if (error?.kind === "BUDGET") return;
  const whole = await validate(bytes, { level: "values", zstd });
  const [streamed, validated] = [error, whole.error].map((e) => e && `${e.kind} at ${e.offset}`);
  expect(streamed === validated, `streamed: ${streamed}; validated: ${validated}`);
  if (error === undefined) return;
  const again = await asyncOutcome(() => decoder.push(bytes));
  expect(again.error === error, "a failed decoder has another error than before");
  expect(decoder.heldBytes === 0, "a failed decoder holds bytes");
});
