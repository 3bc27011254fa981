/** The picture of the method is what today's encoder makes of the example adapter. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));

it("docs/images/method.svg is current", () => {
  const run = () =>
    execFileSync(process.execPath, ["bench/method.mjs", "--check"], { cwd: root, stdio: "pipe" });
  expect(run).not.toThrow();
});
