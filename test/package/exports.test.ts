/** The entries of the package, and its version. Their names and types: api.mjs. */

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { VERSION } from "../../src/core/index.ts";

const json = (name: string): { exports: object; version: string } =>
  JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), "utf8"));
const { exports, version } = json("package.json");

const ENTRIES = [
  ".",
  ...["format", "encode", "adapters", "serve", "webgpu", "report", "node"].map((room) => `./${room}`),
];

it("has one version everywhere", () => {
  expect([json("jsr.json").version, json("package-lock.json").version, VERSION]).toEqual([
    version,
    version,
    version,
  ]);
});

it("has the entry points it has", () => {
  expect(Object.keys(exports)).toEqual([...ENTRIES, "./package.json"]);
});
