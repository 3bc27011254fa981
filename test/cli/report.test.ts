import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { lqaIn } from "../helpers/cli.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { answerRange, serve } from "../helpers/server.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

const folder = temporaryDirectory();
writePeftDirectory(join(folder, "adapter"));
const lqa = (...words: string[]): ReturnType<typeof lqaIn> => lqaIn({ cwd: folder }, ...words);
const page = (name: string): string => readFileSync(join(folder, name), "utf8");
expect(lqa("encode", "adapter", "-o", "a.lqa", "--bits", "4").code).toBe(0);

describe("lqa inspect --html", () => {
  it("writes a page beside what it prints", () => {
    const { code, out, err } = lqa("inspect", "a.lqa", "--html", "a.html");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/^a\.lqa\n {2}what {8}a LoRA adapter[\s\S]*The report is in a\.html\.\n$/);
    expect(page("a.html")).toMatch(
      /^<!doctype html>[\s\S]*<h1>a\.lqa<\/h1>[\s\S]*✓ Valid\.[\s\S]*<\/html>\n$/,
    );
  });

  it("measures against the source, and draws the other methods if asked", () => {
    expect(lqa("inspect", "a.lqa", "--html", "s.html", "--source", "adapter").code).toBe(0);
    expect(page("s.html")).toContain("measured against the source");
    expect(page("s.html")).not.toContain("3@0.9");
    const { code, out } = lqa(
      "inspect",
      "a.lqa",
      "--html",
      "c.html",
      "--source",
      "adapter",
      "--compare",
      "--json",
    );
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ html: "c.html", moduleCount: 4 });
    expect(page("c.html")).toContain("3-bit RTN: ");
  });

  it("takes an .lqa file as source", () => {
    expect(lqa("inspect", "a.lqa", "--html", "self.html", "--source", "a.lqa").code).toBe(0);
    expect(page("self.html")).toContain("<dd>0 %<small>measured against the source");
  });

  it("does not replace a file unless it may", () => {
    writeFileSync(join(folder, "mine.html"), "mine");
    const { code, err } = lqa("inspect", "a.lqa", "--html", "mine.html");
    expect(code).toBe(2);
    expect(err).toContain("OUTPUT_EXISTS");
    expect(page("mine.html")).toBe("mine");
    expect(lqa("inspect", "a.lqa", "--html", "mine.html", "--force").code).toBe(0);
    expect(page("mine.html")).toContain("<h1>a.lqa</h1>");
  });

  it("writes a page of a file that is not valid, and exits with its error", () => {
    const bytes = readFileSync(join(folder, "a.lqa"));
    // In the first chunk: behind prologue and index, aligned (spec 4.2).
    const alignment = 2 ** bytes[48]!;
    bytes[alignment * Math.ceil((64 + bytes.readUInt32LE(32)) / alignment)]! ^= 1;
    writeFileSync(join(folder, "damaged.lqa"), bytes);
    const { code, out, err } = lqa("inspect", "damaged.lqa", "--html", "damaged.html");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toMatch(/^The report is in damaged\.html\.\nlqa: .*\(LQA-I003 CHUNK_CRC\)/);
    expect(page("damaged.html")).toMatch(/✗ Not valid:[\s\S]*LQA-I003 CHUNK_CRC/);
    writeFileSync(join(folder, "text.lqa"), "This is no adapter.");
    expect(lqa("inspect", "text.lqa", "--html", "text.html").code).toBe(1);
    expect(page("text.html")).toContain("✗ Not valid:");
  });

  it("reads a whole address", async () => {
    const bytes = new Uint8Array(readFileSync(join(folder, "a.lqa")));
    const server = await serve((_, response, asked) => answerRange(bytes, response, asked));
    const { spawn } = await import("node:child_process");
    // Not lqaIn: it would keep this process from answering.
    const child = spawn(process.execPath, [
      "dist/cli/main.js",
      "inspect",
      `${server.url}a.lqa?signature=secret`,
      "--html",
      join(folder, "remote.html"),
    ]);
    expect(await new Promise((resolve) => child.on("close", resolve))).toBe(0);
    expect(page("remote.html")).toContain("✓ Valid.");
    expect(page("remote.html")).not.toContain("secret");
  });

  it("refuses what belongs to a report without one, and leaves nothing behind", () => {
    const before = listing(folder);
    for (const words of [
      ["--compare"],
      ["--source", "adapter"],
      ["--force"],
      ["--html", "x.html", "--compare"],
    ]) {
      const { code, err } = lqa("inspect", "a.lqa", ...words);
      expect(code).toBe(2);
      expect(err).toContain("USAGE");
    }
    expect(lqa("inspect", "nothing.lqa", "--html", "x.html").code).toBe(2);
    expect(existsSync(join(folder, "x.html"))).toBe(false);
    expect(listing(folder)).toEqual(before);
  });
});
