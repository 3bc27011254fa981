// The four levels of validation: each contains the one before it, so an error found early is found at every deeper level.

import { validate } from "../../dist/core/validate/validate.js";
import { VALIDATION_LEVELS } from "../../dist/core/validate/validation.js";
import { expect, target } from "../contract.mjs";
import { prepared, zstd } from "../file.mjs";

export const fuzz = target(async (input, variant) => {
  const bytes = prepared(input, variant);
  let valid = true;
  for (const level of VALIDATION_LEVELS.toReversed()) {
    const result = await validate(bytes, { level, zstd });
    expect(result.valid === (result.error === undefined), "valid with an error, or invalid without one");
    if (level === "canonical") valid = result.valid;
    else if (valid) expect(result.valid, `canonical, but at level ${level}: ${result.error?.kind}`);
    else valid = result.valid;
  }
});
