/** What the package exports by name at run time: a name that goes, or comes, is meant. `npx vitest run test/package -u` writes it. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { VERSION } from "../../src/version.ts";

const json = (name: string): { exports: object; version: string } =>
  JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), "utf8"));
const { exports, version } = json("package.json");

it("has one version everywhere", () => {
  expect([json("jsr.json").version, json("package-lock.json").version, VERSION]).toEqual([
    version,
    version,
    version,
  ]);
});

it("has the entry points it has", () => {
  expect(Object.keys(exports)).toEqual([".", "./node", "./webgpu", "./fleet", "./package.json"]);
});

it.each([
  ["lqa", "index"],
  ["lqa/node", "node"],
  ["lqa/webgpu", "webgpu"],
  ["lqa/fleet", "fleet"],
])("exports the names of %s that are written down", async (_entry, file) => {
  const names = Object.keys(await import(new URL(`../../dist/${file}.js`, import.meta.url).href));
  await expect(`${names.sort().join("\n")}\n`).toMatchFileSnapshot(`exports-${file}.txt`);
});
