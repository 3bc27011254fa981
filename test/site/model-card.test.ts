/** Lines for a model card: figures of the file, and names from it that stay text. */
import { join } from "node:path";
import MarkdownIt from "markdown-it";
import { describe, expect, it } from "vitest";
import { modelCard } from "../../site/inspector/src/worker/model-card.ts";
import { readAdapter } from "../../src/adapters/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { readSourceFiles } from "../../src/node/index.ts";
import { inspectLqa } from "../../src/report/index.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const HOSTILE = "a | b\n\n# c [x](javascript:alert(1)) ![y](z) <img src=x> `code` *d* \u202e";

async function cardOf(baseModel: string, title: string): Promise<string> {
  const folder = join(temporaryDirectory(), "my-adapter");
  writePeftDirectory(folder);
  const adapter = readAdapter(await readSourceFiles(folder));
  const { bytes } = await encodeAdapter({ ...adapter, meta: { ...adapter.meta, base_model: baseModel } });
  return modelCard(await inspectLqa(bytes, { source: adapter }), title);
}

describe("lines for a model card", () => {
  it("have size, bits, loss and base model", async () => {
    const card = await cardOf("tiny/model", "folder/my-adapter.lqa");
    expect(card).toMatch(/^## my-adapter\.lqa\n/);
    expect(card).toMatch(
      /\| base model \| \[tiny\/model\]\(https:\/\/huggingface\.co\/tiny\/model\) \|\n\| size \| .* bytes\) \|\n\| bits per weight \| [\d.]+ \|\n/,
    );
    expect(card).toMatch(/\| energy of ΔW lost \| [\d.]+ % \|/);
    expect(card).toMatch(/\| file id \| `[0-9a-f]{64}` \|/);
    expect(card).toContain("lqa decode my-adapter.lqa -o adapter/");
  });

  it("take names from files as text", async () => {
    const card = await cardOf(HOSTILE, `${HOSTILE}; rm -rf ~`);
    const markup = new MarkdownIt().render(card);
    expect(markup).not.toMatch(/<(img|a|em|h1)\b|<code>code/);
    // No base model, which is not a name on the hub.
    expect(markup.match(/<tr>/g)).toHaveLength(6);
    expect(card).toContain("\\<img");
    expect(card).not.toContain("\u202e");
    expect(card).toContain("lqa decode adapter.lqa -o adapter/");
  });
});
