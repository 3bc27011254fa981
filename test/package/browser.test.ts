/** The entries that docs/guide/code.md says run in browsers are bundled for one, with what docs/guide/reading.md says about esbuild. */
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

const entries = ["", "/format", "/encode", "/adapters", "/serve", "/webgpu", "/report"];

it("each entry is bundled for browsers", async () => {
  const built = await build({
    entryPoints: entries.map((entry) => ({ in: `lqa${entry}`, out: `lqa${entry}` })),
    absWorkingDir: root,
    bundle: true,
    platform: "browser",
    format: "esm",
    splitting: true,
    outdir: "out",
    write: false,
    external: ["fs", "path"],
    logLevel: "silent",
  });
  expect([built.errors, built.warnings]).toEqual([[], []]);
  expect(built.outputFiles.length).toBeGreaterThanOrEqual(entries.length);
  // Nothing of lqa itself asks for a module of Node.
  for (const { path, text } of built.outputFiles)
    if (!/zstd-codec/.test(path)) expect(text, path).not.toMatch(/from "(node:)?(fs|path)"/);
});
