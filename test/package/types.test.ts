/** The declarations of the packed package compile in a project of today, without skipLibCheck. All settings: `.ci/long`. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const script = fileURLToPath(new URL("types.mjs", import.meta.url));

it("compiles where the libraries are es2022 and dom", { timeout: 120_000 }, () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], { encoding: "utf8" });
  expect(`${stdout}${stderr}`).toMatch(/^3 passed, 0 failed$/m);
  expect(status).toBe(0);
});
