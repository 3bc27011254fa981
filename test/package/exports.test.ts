/** What the package exports by name at run time: a name that goes, or comes, is meant. `npx vitest run test/package -u` writes it. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { VERSION } from "../../src/version.ts";

const json = (name: string): { exports: object; version: string } =>
  JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), "utf8"));
const { exports, version } = json("package.json");

const ENTRIES = new Map([
  [".", "core"],
  ...["encode", "adapters", "models", "serve", "webgpu", "report", "node", "fleet"].map(
    (room) => [`./${room}`, room] as const,
  ),
]);

it("has one version everywhere", () => {
  expect([json("jsr.json").version, json("package-lock.json").version, VERSION]).toEqual([
    version,
    version,
    version,
  ]);
});

it("has the entry points it has", () => {
  expect(Object.keys(exports)).toEqual([...ENTRIES.keys(), "./package.json"]);
});

it.each([...ENTRIES])("exports the names of %s that are written down", async (_entry, room) => {
  const names = Object.keys(await import(new URL(`../../dist/${room}/index.js`, import.meta.url).href));
  await expect(`${names.sort().join("\n")}\n`).toMatchFileSnapshot(`exports-${room}.txt`);
});
