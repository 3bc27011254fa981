import { mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readSourceFiles } from "../../src/node/index.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

function directory(...names: string[]): string {
  const folder = temporaryDirectory();
  for (const name of names) writeFileSync(join(folder, name), name);
  return folder;
}

describe("readSourceFiles", () => {
  it("takes the two files of a PEFT directory and no others", async () => {
    const folder = directory(
      "adapter_config.json",
      "adapter_model.safetensors",
      "README.md",
      "other.safetensors",
    );
    const files = await readSourceFiles(folder);
    expect([...files.keys()].sort()).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
  });

  it("takes the only .safetensors file where none has PEFT's name", async () => {
    const folder = directory("0000200_adapters.safetensors", "adapter_config.json");
    expect([...(await readSourceFiles(folder)).keys()]).toContain("0000200_adapters.safetensors");
  });

  it("takes a file with the configuration next to it, if there is one", async () => {
    const folder = directory("x.safetensors", "adapter_config.json");
    expect((await readSourceFiles(join(folder, "x.safetensors"))).size).toBe(2);
    const alone = directory("x.safetensors");
    expect((await readSourceFiles(join(alone, "x.safetensors"))).size).toBe(1);
  });

  it("explains a directory without an adapter", async () => {
    await expect(readSourceFiles(directory())).rejects.toMatchObject({
      kind: "NOT_FOUND",
      actual: "an empty directory",
    });
    await expect(readSourceFiles(directory("a.safetensors", "b.safetensors"))).rejects.toMatchObject({
      advice: expect.stringContaining("Several"),
    });
    const run = directory();
    mkdirSync(join(run, "checkpoint-500"));
    await expect(readSourceFiles(run)).rejects.toMatchObject({
      advice: expect.stringContaining("checkpoint-500"),
    });
  });

  it("takes the weights that programs call so, safetensors before pickles", async () => {
    const names = async (...files: string[]): Promise<string[]> => [
      ...(await readSourceFiles(directory(...files))).keys(),
    ];
    expect(await names("adapter_model.bin", "adapter_config.json")).toEqual([
      "adapter_model.bin",
      "adapter_config.json",
    ]);
    expect(await names("adapters.npz", "adapters.safetensors")).toEqual(["adapters.safetensors"]);
    expect(await names("training_args.bin", "x.safetensors")).toEqual(["x.safetensors"]);
    expect(await names("a.gguf", "README.md")).toEqual(["a.gguf"]);
  });

  it("says what is missing", async () => {
    const path = join(directory(), "none");
    await expect(readSourceFiles(path)).rejects.toMatchObject({
      kind: "NOT_FOUND",
      where: JSON.stringify(path),
    });
  });

  it("refuses a file above 4 GiB before it reads it", async () => {
    const path = join(directory("x.safetensors"), "x.safetensors");
    truncateSync(path, 5 * 1024 ** 3); // sparse: takes no space
    await expect(readSourceFiles(path)).rejects.toMatchObject({ kind: "BUDGET", exitCode: 4 });
  });
});
