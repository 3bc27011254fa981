import { expect, it } from "vitest";

const { soak } = await import(new URL("soak.mjs", import.meta.url).href);

it.each([true, false])("a pool survives random requests, changes and faults (verify %s)", async (verify) => {
  const { steps, wrong, errors } = await soak({ steps: 1500, seed: 5, verify });
  expect(wrong).toEqual([]);
  expect(steps).toBeGreaterThanOrEqual(1500);
  // Faults did occur.
  expect(errors.IO).toBeGreaterThan(0);
  expect(errors.CHUNK_CRC).toBeGreaterThan(0);
});
