/** The fuzz runner passes only what it ran: what it does not understand, it refuses. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const runner = fileURLToPath(new URL("../fuzz/run.mjs", import.meta.url));

test.each([[["--seconds", "soon"]], [["--seconds", "0"]], [["--seed", "x"]], [["no-such-target"]]])(
  "refuses %j",
  (args) => {
    const { status, stderr } = spawnSync(process.execPath, [runner, ...args], { encoding: "utf8" });
    expect(stderr).toContain(`found ${args.join(" ")}`);
    expect(status).toBe(2);
  },
);
