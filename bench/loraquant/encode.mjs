/**
 * `lqa encode` with LoRAQuant instead of our method, to measure both by the same files, reports and decoder:
 *
 *   node bench/loraquant/encode.mjs encode ADAPTER -o FILE [--variant 2@0.8] [--h-rule code|text] [--refine search|none|sgd]
 *     [--group 128] [--force] [--json]
 *
 * An option `--profile` is ignored, so that lists of options for `lqa encode` can have it. `--h-rule`: how many components are strong,
 * by the authors' program or by the text of the paper (one more). `--refine`: how to find the scales of strong components. `search`:
 * least squared error of each group; `none`: plain rounding; `sgd`: the authors' loop.
 *
 * @module
 */
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { readAdapter } from "../../dist/adapters/index.js";
import { open } from "../../dist/core/index.js";
import { encodeAdapter } from "../../dist/encode/index.js";
import { checkSourceModule } from "../../dist/encode/quantize/profile.js";
import { moduleQuality } from "../../dist/encode/quantize/quality.js";
import { withFactors } from "../../dist/model/adapter.js";
import { readSourceFiles, writeFileAtomic } from "../../dist/node/index.js";
import { loraQuant, parseVariant } from "./method.mjs";

/** Encodes an adapter. Returns what `encodeAdapter` returns; META names the method in addition to the encoder. */
export function encodeLoraQuant(adapter, options = {}) {
  const { variant = "2@0.8", hRule = "code", refine = "search", group = 128 } = options;
  const method = { variant: parseVariant(variant), hRule, refine, group };
  const executor = {
    async run(_kind, inputs, done) {
      const outputs = [];
      for (const input of inputs) {
        const module = withFactors(input.module);
        checkSourceModule(module);
        const factors = loraQuant(module, method);
        outputs.push({ factors, quality: moduleQuality(module, factors, input.moments) });
        await done(module.name);
      }
      return outputs;
    },
  };
  const meta = { ...adapter.meta, method: `loraquant ${variant} ${hRule} ${refine}` };
  // The profile whose settings are the group's size. The executor replaces what it does.
  return encodeAdapter({ ...adapter, meta }, { profile: "sign", group, executor });
}

async function main() {
  const text = { type: "string" };
  const flag = { type: "boolean" };
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      output: { ...text, short: "o" },
      ...{ profile: text, variant: text, "h-rule": text, refine: text, group: text, force: flag, json: flag },
    },
  });
  const [, source] = positionals;
  const files = await readSourceFiles(source);
  const { "h-rule": hRule, variant, refine, group } = values;
  const given = { hRule, variant, refine, group: group && Number(group) };
  const { bytes, report } = await encodeLoraQuant(readAdapter(files), given);
  await writeFileAtomic(values.output, bytes, { force: values.force });
  const { modules: _, ...total } = report;
  const { contentId } = await (await open(bytes)).verify();
  if (values.json) console.log(JSON.stringify({ ...total, contentId }));
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main();
