/** What no dialect reads is refused under its own name. */

import { describe, expect, it } from "vitest";
import { DIALECTS, readAdapter, type SourceFiles } from "../../src/adapters/index.ts";
import { openSource } from "../helpers/parts.ts";
import { writeSafetensors } from "../helpers/safetensors.ts";
import { bytesOf, directory, floats, pair } from "./build.ts";

const keys = (...names: string[]): Uint8Array =>
  writeSafetensors(new Map(names.map((name) => [name, floats([2, 2])])));
const one = (file: string, bytes: Uint8Array): SourceFiles => new Map([[file, bytes]]);

const peft = DIALECTS.find(({ name }) => name === "peft")!;

describe("what is no dialect of this version", () => {
  it.each<[string, SourceFiles, RegExp]>([
    [
      "a configuration alone",
      one("adapter_config.json", bytesOf('{"peft_type":"LORA"}')),
      /There are no weights here/,
    ],
    [
      "an unknown convention",
      one("a.safetensors", keys("weight")),
      /UNSUPPORTED_DIALECT.*unknown to this version/,
    ],
    ["a broken safetensors file", one("a.safetensors", new Uint8Array(4)), /TRUNCATED_SOURCE/],
    ["nothing", new Map(), /UNSUPPORTED_DIALECT: There are no weights/],
  ])("%s", (_name, files, message) => {
    expect(peft.detect(openSource(files))).toBe(false);
    expect(() => readAdapter(files)).toThrow(message);
  });

  it("PEFT is recognised even when it is broken, and under another file name", () => {
    const files = directory(pair("q"), '{"peft_type":');
    expect(peft.detect(openSource(files))).toBe(true);
    expect(() => readAdapter(files)).toThrow(/SOURCE_CONFIG/);
    const renamed = directory(pair("q"));
    renamed.set("lora.safetensors", renamed.get("adapter_model.safetensors")!);
    renamed.delete("adapter_model.safetensors");
    expect(readAdapter(renamed).modules).toHaveLength(1);
  });
});
