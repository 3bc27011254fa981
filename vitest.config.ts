import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { thorough } from "./test/helpers/thorough.ts";

/**
 * Suites of servers and standard streams, killed processes, attacks, compilers, shells, programs of the documentation and of the bench,
 * searches of seconds, the packed package, and what counts open files of its process: minutes. Each file has a process of its own.
 * `npm run test:system`.
 */
const SYSTEM = [
  "test/attacks.test.ts",
  "test/bench/loraquant.test.ts",
  "test/cli/full-output.test.ts",
  "test/cli/input.test.ts",
  "test/cli/many.test.ts",
  "test/cli/shards.test.ts",
  "test/cli/shell.test.ts",
  "test/codecs/kernel-build.test.ts",
  "test/conformance/encoders.test.ts",
  "test/conformance/frozen.test.ts",
  "test/conformance/runner.test.ts",
  "test/docs/commands.test.ts",
  "test/docs/guide.test.ts",
  "test/docs/phone.test.ts",
  "test/docs/pictures.test.ts",
  "test/docs/serving.test.ts",
  "test/faults/faults.test.ts",
  "test/hub/models.test.ts",
  "test/hub/page.test.ts",
  "test/hub/push.test.ts",
  "test/hub/read.test.ts",
  "test/io/hostile-tree.test.ts",
  "test/many/objects.test.ts",
  "test/many/stored.test.ts",
  "test/package.test.ts",
  "test/package/types.test.ts",
  "test/schema/kaitai.test.ts",
  "test/serve/soak.test.ts",
  "test/start/generator.test.ts",
  "test/workers/pool.test.ts",
];

export default defineConfig({
  test: {
    globalSetup: ["test/setup.ts"],
    // Some tests start the program as a process, and share the machine with others that compute.
    testTimeout: thorough ? 120_000 : 30_000,
    hookTimeout: thorough ? 120_000 : 30_000,
    // More than there are cores: some tests wait for a process, or for a server that does not answer.
    maxWorkers: Math.ceil(1.5 * availableParallelism()),
    coverage: { include: ["src/**"], exclude: ["src/**/generated/**"] },
    projects: [
      {
        extends: true,
        // Files of a worker share what they import: loading it for each took a third of the time.
        test: { name: "unit", include: ["test/**/*.test.ts"], exclude: SYSTEM, isolate: false },
      },
      { extends: true, test: { name: "system", include: SYSTEM } },
    ],
  },
});
