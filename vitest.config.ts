import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/setup.ts"],
    // Some tests start the program as a process, and share the machine with others that compute.
    testTimeout: 30_000,
    coverage: { include: ["src/**"], exclude: ["src/**/generated/**"] },
  },
});
