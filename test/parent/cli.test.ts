/** `--parent` and `lqa rebase`: children made, read, moved and refused on the command line. */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { writeAdapter } from "../../src/adapters/index.ts";
import { open } from "../../src/core/index.ts";
import { encodeMany, writeDirectoryAtomic } from "../../src/node/index.ts";
import { lqa } from "../helpers/cli.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";
import { checkpoint } from "./run.ts";

const place = temporaryDirectory();
const path = (name: string): string => join(place, name);
const size = (name: string): number => statSync(path(name)).size;

interface Encoded {
  readonly contentId: string;
  readonly relativeError: number;
  readonly parent: { readonly contentId: string; readonly modules: number } | null;
}
let parent: Encoded;
let child: Encoded;

beforeAll(async () => {
  for (const step of [0, 3, 4, 5])
    await writeDirectoryAtomic(
      path(`step-${step}`),
      writeAdapter(checkpoint(step), { factors: "F32", to: "peft" }),
    );
  const { modules, ...rest } = checkpoint(0);
  const stranger = {
    ...rest,
    modules: modules.map((m) => ({ ...m, a: m.a.map((_, i) => Math.sin(i * i)) })),
  };
  await writeDirectoryAtomic(path("stranger"), writeAdapter(stranger, { factors: "F32", to: "peft" }));
  const encode = (step: number, ...words: string[]): Encoded =>
    lqa("encode", path(`step-${step}`), "-o", path(`${step}.lqa`), "--json", ...words).json<Encoded>();
  parent = encode(0, "--max-error", "0.2%");
  child = encode(4, "--max-error", "0.5%", "--parent", path("0.lqa"));
  encode(5, "--max-error", "0.5%", "--parent", path("4.lqa"), "--parent", path("0.lqa"), "--step", "5");
  encode(3, "--max-error", "0.2%");
}, 60_000);

describe("lqa encode --parent", () => {
  it("says which file the child needs, and inspect does, too", () => {
    expect(child.parent).toEqual({ contentId: parent.contentId, modules: 3 });
    expect(parent.parent).toBeNull();
    expect(size("4.lqa")).toBeLessThan(0.6 * size("0.lqa"));
    const words = [path("step-4"), "-o", path("told.lqa"), "--max-error", "0.5%", "--parent", path("0.lqa")];
    expect(lqa("encode", ...words, "--verbose").out).toContain(
      `content id ${parent.contentId}, for 3 of 3 modules`,
    );
    expect(lqa("inspect", path("4.lqa")).out).toContain(`${parent.contentId}, for 3 of 3 modules`);
    expect(lqa("inspect", path("4.lqa"), "--json").json()).toMatchObject({
      parent: { contentId: parent.contentId, modules: 3 },
    });
    expect(lqa("inspect", path("0.lqa"), "--json").json()).not.toHaveProperty("parent");
  });

  it("is shown by inspect among several files: which is whose parent, with size and error", () => {
    const files = [path("0.lqa"), path("4.lqa"), path("5.lqa")];
    const { files: lines } = lqa("inspect", ...files, "--json").json<{ files: Record<string, unknown>[] }>();
    expect(lines.map(({ file, bytes }) => [file, bytes])).toEqual(
      files.map((file) => [file, statSync(file).size]),
    );
    expect(lines.map((line) => (line.parent as { file: string } | null)?.file ?? null)).toEqual([
      null,
      files[0],
      files[1],
    ]);
    expect(lines[1]).toMatchObject({ contentId: child.contentId, relativeError: child.relativeError });
    expect(lines.map(({ step }) => step)).toEqual([null, null, 5]);
    expect(lines[0]!.bitsPerWeight).toBeGreaterThan(lines[1]!.bitsPerWeight as number);
    const { out } = lqa("inspect", ...files);
    expect(out).toMatch(/4\.lqa +[\d,]+ +\d\.\d{3} +0\.\d+ % +.*0\.lqa\n/);
    expect(out).toMatch(/5\.lqa +5 +[\d,]+ /);
    expect(lqa("inspect", files[1]!, files[2]!).out).toContain(`${parent.contentId.slice(0, 12)}, not here`);
    const refused = lqa("inspect", files[0]!, files[1]!, "--modules");
    expect([refused.code, refused.err]).toEqual([2, expect.stringContaining("one file with --modules")]);
  });

  it("states the step", () => {
    const words = [
      path("step-4"),
      "-o",
      path("stated.lqa"),
      "--max-error",
      "0.5%",
      "--parent",
      path("0.lqa"),
    ];
    lqa("encode", ...words, "--step", "600");
    const { meta } = lqa("inspect", path("stated.lqa"), "--json").json<{ meta: Record<string, number> }>();
    expect(meta.step).toBe(600);
    expect(meta.relative_error).toBeCloseTo(child.relativeError, 6);
    expect(lqa("encode", ...words, "--force", "--step", "-1").code).toBe(2);
  });

  it("says when the parent does not help", () => {
    const words = ["-o", path("stranger.lqa"), "--max-error", "5%", "--parent", path("0.lqa")];
    expect(lqa("encode", path("stranger"), ...words).out).toContain("the parent does not help");
    expect(
      lqa("encode", path("step-4"), "-o", path("x.lqa"), "--profile", "raw", "--parent", path("0.lqa")),
    ).toMatchObject({
      code: 2,
      err: expect.stringContaining("profile rd"),
    });
  });

  it("encodes many against one, with the same bytes as one by one", async () => {
    const { out, code } = lqa(
      ...["encode", "--out-dir", path("many"), path("step-3"), path("step-4")],
      ...["--parent", path("0.lqa"), "--max-error", "0.5%", "--json"],
    );
    expect(code).toBe(0);
    const items = JSON.parse(out) as (Encoded & { state: string })[];
    expect(items.map(({ parent }) => parent?.contentId)).toEqual([parent.contentId, parent.contentId]);
    expect(readFileSync(path("many/step-4.lqa"))).toEqual(readFileSync(path("4.lqa")));
    const options = { parent: await open(readFileSync(path("0.lqa"))), maxError: 0.005 };
    await encodeMany([path("step-4")], path("opened"), { ...options, workers: 1 });
    expect(readFileSync(path("opened/step-4.lqa"))).toEqual(readFileSync(path("4.lqa")));
    const threads = [
      "-o",
      path("threads.lqa"),
      "--parent",
      path("0.lqa"),
      "--max-error",
      "0.5%",
      "--workers",
      "2",
    ];
    expect(lqa("encode", path("step-4"), ...threads).code).toBe(0);
    expect(readFileSync(path("threads.lqa"))).toEqual(readFileSync(path("4.lqa")));
  });
});

describe("commands that decode a child", () => {
  it("need its parent, and say which", () => {
    expect(lqa("decode", path("4.lqa"), "-o", path("lost"))).toMatchObject({
      code: 3,
      err: expect.stringContaining(parent.contentId),
    });
    expect(lqa("decode", path("4.lqa"), "-o", path("lost"), "--parent", path("3.lqa"))).toMatchObject({
      code: 1,
      err: expect.stringContaining("PARENT_MISMATCH"),
    });
    expect(lqa("decode", path("4.lqa"), "-o", path("back"), "--parent", path("0.lqa")).code).toBe(0);
    const { relativeError } = lqa("diff", path("step-4"), path("back"), "--json").json<Encoded>();
    expect(relativeError).toBeCloseTo(child.relativeError, 6);
    const error = lqa("diff", path("step-4"), path("4.lqa"), "--parent", path("0.lqa"), "--json");
    expect(error.json<Encoded>().relativeError).toBeCloseTo(child.relativeError, 6);
  });

  it("take the parents of a chain in any order, and others that are not needed", () => {
    const names = ["0.lqa", "3.lqa", "4.lqa"].flatMap((name) => ["--parent", path(name)]);
    expect(lqa("decode", path("5.lqa"), "-o", path("chain"), ...names)).toMatchObject({ code: 0 });
    expect(lqa("diff", path("step-5"), path("chain"), "--json").json<Encoded>().relativeError).toBeLessThan(
      0.005,
    );
  });

  it("check a child without its parent, and with it", () => {
    expect(lqa("validate", path("4.lqa")).code).toBe(0);
    expect(
      lqa("validate", path("4.lqa"), path("5.lqa"), "--parent", path("0.lqa"), "--parent", path("4.lqa"))
        .code,
    ).toBe(0);
    expect(lqa("validate", path("4.lqa"), "--parent", path("3.lqa"))).toMatchObject({
      code: 1,
      err: expect.stringContaining("PARENT_MISMATCH"),
    });
  });

  it("draw a child", () => {
    const words = ["--html", path("report.html"), "--parent", path("0.lqa"), "--source", path("step-4")];
    expect(lqa("inspect", path("4.lqa"), ...words).code).toBe(0);
    expect(readFileSync(path("report.html"), "utf8")).not.toContain("PARENT_MISSING");
    expect(lqa("inspect", path("4.lqa"), "--parent", path("0.lqa"))).toMatchObject({
      code: 2,
      err: expect.stringContaining("--html"),
    });
  });
});

describe("lqa rebase", () => {
  const rebase = (name: string, ...words: string[]) =>
    lqa("rebase", path("4.lqa"), "-o", path(name), ...words);

  it("makes a child whole, to the same bits", async () => {
    expect(rebase("whole.lqa", "--parent", path("0.lqa")).out).toContain("none against the child");
    const own = await (
      await open(readFileSync(path("4.lqa")), { parents: [readFileSync(path("0.lqa"))] })
    ).adapter();
    const whole = await open(readFileSync(path("whole.lqa")));
    expect(whole.parentId).toBeUndefined();
    const { modules } = await whole.adapter();
    for (const [i, { b, a }] of own.modules.entries()) {
      expect(modules[i]!.b).toEqual(b);
      expect(modules[i]!.a).toEqual(a);
    }
    expect((await whole.meta()).relative_error).toBeCloseTo(child.relativeError, 9);
  });

  it("moves a child to another parent", () => {
    const words = ["--parent", path("0.lqa"), "--onto", path("3.lqa"), "--json"];
    const moved = rebase("moved.lqa", ...words).json<Encoded>();
    expect(moved.parent?.modules).toBe(3);
    expect(moved.relativeError).toBeLessThanOrEqual(0.001);
    const smaller = rebase("smaller.lqa", ...words, "--max-error", "2%").json<Encoded>();
    expect(smaller.relativeError).toBeGreaterThan(0.001);
    expect(size("smaller.lqa")).toBeLessThan(size("moved.lqa"));
    expect(lqa("decode", path("moved.lqa"), "-o", path("moved"), "--parent", path("3.lqa")).code).toBe(0);
  });

  it("refuses a whole file, and a child without its parent", () => {
    expect(lqa("rebase", path("3.lqa"), "--parent", path("0.lqa"), "-o", path("x.lqa"))).toMatchObject({
      code: 2,
      err: expect.stringContaining("a whole file"),
    });
    expect(rebase("x.lqa", "--parent", path("3.lqa"))).toMatchObject({
      code: 1,
      err: expect.stringContaining("PARENT_MISMATCH"),
    });
    expect(rebase("x.lqa")).toMatchObject({ code: 2, err: expect.stringContaining("--parent") });
    writeFileSync(path("there.lqa"), "");
    expect(rebase("there.lqa", "--parent", path("0.lqa")).code).toBe(2);
  });
});
