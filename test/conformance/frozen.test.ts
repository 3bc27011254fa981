/**
 * A release freezes format 1.0: the check that .ci/run does finds a clause, a case and a vector that changed, and nothing else.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

const repository = fileURLToPath(new URL("../..", import.meta.url));
const script = new URL("../../conformance/freeze.mjs", import.meta.url).href;
const { broken, freeze } = (await import(script)) as {
  broken(root: string): string[];
  freeze(root: string): void;
};

const root = mkdtempSync(join(tmpdir(), "lqa-test-"));
const FROZEN = "conformance/frozen.json";
const MANIFEST = "conformance/suite/manifest.json";
const SPECIFICATION = "spec/lqa-v1.md";
const EDITED = [MANIFEST, SPECIFICATION, "spec/errata.json", "spec/trellis-tables.json"];
cpSync(join(repository, "conformance"), join(root, "conformance"), {
  recursive: true,
  filter: (path) => !/^conformance.(readers|runner|adapters)\b/.test(path.slice(repository.length)),
});
for (const folder of ["spec", "schema"])
  cpSync(join(repository, folder), join(root, folder), { recursive: true });
rmSync(join(root, FROZEN), { force: true });
afterAll(() => rmSync(root, { recursive: true }));
afterEach(() => {
  for (const path of EDITED) cpSync(join(repository, path), join(root, path));
});

const edit = (path: string, from: string, to: string): void => {
  const text = readFileSync(join(root, path), "utf8");
  expect(text).toContain(from);
  writeFileSync(join(root, path), text.replace(from, to));
};

const addErratum = (erratum: object): void => {
  const path = join(root, "spec/errata.json");
  writeFileSync(path, JSON.stringify([...JSON.parse(readFileSync(path, "utf8")), erratum]));
};

it("is nothing before the first release", () => {
  edit(SPECIFICATION, "Rounding is to nearest, ties to even.", "Rounding is towards zero.");
  expect(broken(root)).toEqual([]);
});

it("has gold vectors that are cases of the suite, byte by byte", () => {
  const read = (path: string) =>
    JSON.parse(readFileSync(join(repository, path), "utf8")).cases as { id: string }[];
  const cases = new Map(read(MANIFEST).map((one) => [one.id, one]));
  for (const gold of read("conformance/gold/v1.0/manifest.json")) expect(gold).toEqual(cases.get(gold.id));
});

describe("what was frozen", () => {
  beforeAll(() => freeze(root));

  it("is as it was", () => {
    expect(broken(root)).toEqual([]);
    expect(broken(repository)).toEqual([]);
  });

  it("stays frozen when more is frozen", () => {
    const before = JSON.parse(readFileSync(join(root, FROZEN), "utf8"));
    edit(SPECIFICATION, "Rounding is to nearest, ties to even.", "Rounding is towards zero.");
    edit(SPECIFICATION, "## 17 Security", "### 16.1 More\n\nText.\n\n## 17 Security");
    freeze(root);
    const { clauses } = JSON.parse(readFileSync(join(root, FROZEN), "utf8"));
    expect(clauses["3.2"]).toBe(before.clauses["3.2"]);
    expect(Object.keys(clauses)).toContain("16.1");
    writeFileSync(join(root, FROZEN), JSON.stringify(before));
  });

  it("may have new clauses and new cases", () => {
    edit(SPECIFICATION, "## 17 Security", "### 16.1 More\n\nText.\n\n## 17 Security");
    const manifest = JSON.parse(readFileSync(join(root, MANIFEST), "utf8"));
    manifest.cases.push({ ...manifest.cases[0], id: "valid/new" });
    writeFileSync(join(root, MANIFEST), JSON.stringify(manifest));
    expect(broken(root)).toEqual([]);
  });

  it("may be said better in notes of cases", () => {
    edit(MANIFEST, '"note":"', '"note":"More. ');
    expect(broken(root)).toEqual([]);
  });

  it("may not change a clause, unless an erratum says so", () => {
    edit(SPECIFICATION, "Rounding is to nearest, ties to even.", "Rounding is towards zero.");
    const problems = broken(root);
    expect(problems).toEqual([expect.stringMatching(/^3\.2: it is frozen, and was changed/)]);
    const sha256 = /"sha256": "([0-9a-f]{64})"/.exec(problems[0]!)![1];
    addErratum({ clause: "3.2", sha256 });
    expect(broken(root)).toEqual([]);
    edit(SPECIFICATION, "Rounding is towards zero.", "Rounding is to infinity.");
    expect(broken(root)).toEqual([expect.stringMatching(/^3\.2: /)]);
  });

  it("may not lose a clause, or change a file that belongs to the specification", () => {
    edit(SPECIFICATION, "### 8.7 Exact decoding", "### 8.8 Exact decoding");
    edit("spec/trellis-tables.json", "1", "2");
    expect(broken(root)).toEqual([
      expect.stringMatching(/^8\.7: it is frozen, and is gone/),
      expect.stringMatching(/^spec\/trellis-tables\.json: it is frozen, and was changed/),
    ]);
  });

  it("may not change what a case expects, lose one, or change a byte of a vector, even with an erratum", () => {
    const manifest = JSON.parse(readFileSync(join(root, MANIFEST), "utf8"));
    const changed = manifest.cases.find(({ id }: { id: string }) => id.startsWith("invalid/encoding/"));
    changed.expected.exit = 3 - changed.expected.exit;
    const [lost] = manifest.cases.splice(manifest.cases.indexOf(changed) + 1, 1);
    writeFileSync(join(root, MANIFEST), JSON.stringify(manifest));
    const gold = "conformance/gold/v1.0/SHA256SUMS";
    unlinkSync(join(root, gold));
    addErratum({ clause: changed.id, sha256: "" });
    expect(broken(root)).toEqual([
      `${changed.id}: a vector of 1.0 was changed; it has to stay as it was`,
      `${lost.id}: a vector of 1.0 is gone; it has to stay as it was`,
      `${gold}: a vector of 1.0 is gone; it has to stay as it was`,
    ]);
  });
});
