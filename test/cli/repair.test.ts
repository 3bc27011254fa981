/** `lqa repair` as a process: a new file or none, and what is said about it. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { fileBytes, smallInput } from "../container/fixtures.ts";
import { lqa } from "../helpers/cli.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

const place = temporaryDirectory();
const path = (name: string): string => join(place, name);
let original: Uint8Array;
beforeAll(async () => {
  original = await fileBytes(smallInput());
  writeFileSync(path("cut.lqa"), original.subarray(0, original.length - 20));
  const damaged = original.slice();
  damaged[1000]! ^= 1;
  writeFileSync(path("damaged.lqa"), damaged);
});

describe("lqa repair", () => {
  it("writes a new file and says what was changed, what proves it and what is lost", () => {
    const { code, out, err } = lqa("repair", path("cut.lqa"), "-o", path("whole.lqa"));
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/trailer +20 bytes at byte \d+\n/);
    expect(out).toContain("CRC-32");
    expect(out).toMatch(/warning: lost: The root digest/);
    expect(Buffer.compare(readFileSync(path("whole.lqa")), original)).toBe(0);
    expect(lqa("validate", path("whole.lqa"), "--level", "canonical").code).toBe(0);
    expect(readFileSync(path("cut.lqa")).length).toBe(original.length - 20);
  });

  it("says it to programs", () => {
    const json = lqa("repair", path("cut.lqa"), "-o", path("json.lqa"), "--json").json();
    expect(json).toEqual({
      bytes: original.length,
      repairs: [{ what: "trailer", offset: original.length - 20, bytes: 20 }],
      proof: "chunk checksums",
      lost: [expect.any(String)],
      fileId: expect.stringMatching(/^[0-9a-f]{64}$/),
      contentId: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  it("writes nothing where weights are damaged", () => {
    const before = listing(place);
    const { code, err } = lqa("repair", path("damaged.lqa"), "-o", path("none.lqa"));
    expect(code).toBe(1);
    expect(err).toContain("CHUNK_CRC");
    expect(err).toContain("without guessing");
    expect(listing(place)).toEqual(before);
  });

  it("replaces nothing without --force, and no input that is its output", () => {
    writeFileSync(path("there.lqa"), "mine");
    expect(lqa("repair", path("cut.lqa"), "-o", path("there.lqa")).code).toBe(2);
    expect(readFileSync(path("there.lqa"), "utf8")).toBe("mine");
    expect(lqa("repair", path("cut.lqa"), "-o", path("there.lqa"), "--force").code).toBe(0);
    expect(Buffer.compare(readFileSync(path("there.lqa")), original)).toBe(0);
    expect(lqa("repair", path("cut.lqa")).code).toBe(2);
    expect(lqa("repair", path("absent.lqa"), "-o", path("x.lqa")).code).toBe(2);
  });
});
