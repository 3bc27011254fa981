/** What a file says reaches neither a terminal nor a JSON document as characters that steer or hide. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { encodeMeta } from "../../src/core/format.ts";
import { bands, fileBytes, packed, section, shape, tensor } from "../container/fixtures.ts";
import { lqa, lqaIn } from "../helpers/cli.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const place = temporaryDirectory();
/** A name may hold no control characters; everything else a terminal obeys or does not show is allowed. */
const HOSTILE = "\u202eq\u2066\u061c\u00ad\u180e\u3164\u2028\ufeff\u{e0041}";
const META = { base_model: `${HOSTILE}\u009b31m\u001b[2J\u007f`, notes: [HOSTILE] };
const STEERING = /(?!\n)[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\p{Zl}\p{Zp}]/u;
const path = (name: string): string => join(place, name);

beforeAll(async () => {
  for (const [name, suffix] of [
    ["a.lqa", ""],
    [`b${HOSTILE}.lqa`, "2"],
  ] as const) {
    const modules = [packed(shape(`m${HOSTILE}${suffix}`), bands(1, 3))];
    const tensors = [tensor(`t${HOSTILE}${suffix}`)];
    const sections = [section("META", encodeMeta(META, "META"))];
    writeFileSync(path(name), await fileBytes({ modules, tensors, sections }));
  }
});

describe.each(["text", "JSON"])("as %s", (form) => {
  const words = form === "JSON" ? ["--json"] : [];
  it.each([
    ["metadata", "inspect", "a.lqa"],
    ["names of modules", "inspect", "--modules", `b${HOSTILE}.lqa`],
    ["names of files", "validate", "a.lqa", `b${HOSTILE}.lqa`],
    ["names that differ", "diff", "a.lqa", `b${HOSTILE}.lqa`],
    ["names of outputs", "decode", `b${HOSTILE}.lqa`, "-o", `decoded${HOSTILE}${form}`],
    ["an absent file", "inspect", `absent${HOSTILE}.lqa`],
    ["an absent file of several", "validate", `absent${HOSTILE}.lqa`],
    ["an unknown command", HOSTILE],
    ["an unknown option", "inspect", `--${HOSTILE}`],
    ["an unknown code", "explain", HOSTILE],
    ["the stack of an error", "inspect", "--verbose", `absent${HOSTILE}.lqa`],
  ])("%s", (_, ...command) => {
    const { out, err } = lqaIn({ cwd: place }, ...command, ...words);
    expect(`${out}${err}`).not.toBe("");
    expect(STEERING.exec(out)?.[0]).toBeUndefined();
    expect(STEERING.exec(err)?.[0]).toBeUndefined();
  });
});

it("has no such characters in a SARIF log", () => {
  const { out, err } = lqaIn(
    { cwd: place },
    "validate",
    "--sarif",
    "a.lqa",
    `b${HOSTILE}.lqa`,
    `absent${HOSTILE}.lqa`,
  );
  expect(out).toContain("absent");
  expect(STEERING.exec(`${out}${err}`)?.[0]).toBeUndefined();
});

it("has the text itself behind the escapes of a JSON document", () => {
  const { meta, modules } = lqa("inspect", "--modules", "--json", path("a.lqa")).json<{
    meta: unknown;
    modules: { name: string }[];
  }>();
  expect(meta).toEqual(META);
  expect(modules[0]!.name).toBe(`m${HOSTILE}`);
});
