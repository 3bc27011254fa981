/**
 * Layers of Stable Diffusion 1 by number, in the order of cloneofsimo's program.
 *
 * It walks a model in the order in which diffusers registers the parts: down blocks, up blocks, middle block; in each
 * transformer block attn1 (q, k, v, out), the feed-forward projection, attn2. diffusers 0.15 and later register the
 * projection after attn2; the sizes tell the two orders apart. The text encoder registers q, k, v in the order k, v, q.
 * The numbers alone do not identify a model, so all shapes must match this model before layers get names.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { Adapter } from "../../model/adapter.ts";
import { quoteName } from "../json.ts";
import { renamed } from "./rename.ts";

interface Layer {
  readonly name: string;
  readonly out: number;
  readonly in: number;
}

const CONTEXT = 768;

/** Transformer blocks in the program's order, with their widths. */
const BLOCKS: readonly (readonly [path: string, width: number])[] = [
  ...[320, 640, 1280].flatMap((width, block) =>
    [0, 1].map((layer): [string, number] => [`down_blocks.${block}.attentions.${layer}`, width]),
  ),
  ...[1280, 640, 320].flatMap((width, block) =>
    [0, 1, 2].map((layer): [string, number] => [`up_blocks.${block + 1}.attentions.${layer}`, width]),
  ),
  ["mid_block.attentions.0", 1280],
];

/** The layers of the UNet; `last`: with the feed-forward projection after attn2. */
const unet = (last: boolean): readonly Layer[] =>
  BLOCKS.flatMap(([path, width]) => {
    const block = `unet.${path}.transformer_blocks.0`;
    const attention = (name: string, context: number): Layer[] => [
      { name: `${block}.${name}.to_q`, out: width, in: width },
      { name: `${block}.${name}.to_k`, out: width, in: context },
      { name: `${block}.${name}.to_v`, out: width, in: context },
      { name: `${block}.${name}.to_out.0`, out: width, in: width },
    ];
    const forward = [{ name: `${block}.ff.net.0.proj`, out: 8 * width, in: width }];
    const [early, late] = last ? [[], forward] : [forward, []];
    return [...attention("attn1", width), ...early, ...attention("attn2", CONTEXT), ...late];
  });

const TEXT: readonly Layer[] = Array.from({ length: 12 }, (_, layer) =>
  ["k_proj", "v_proj", "q_proj", "out_proj"].map((name) => ({
    name: `text_encoder.text_model.encoder.layers.${layer}.self_attn.${name}`,
    out: CONTEXT,
    in: CONTEXT,
  })),
).flat();

const UNETS = [unet(false), unet(true)];

/** The adapter with names instead of numbers. @throws LqaError UNSUPPORTED_DIALECT if it is not one of Stable Diffusion 1 */
export function numberedLayers(adapter: Adapter): Adapter {
  const fifth = adapter.modules.find(({ name }) => name === "unet:4");
  const models = new Map([
    ["unet", UNETS.find((layers) => layers[4]!.out === fifth?.out) ?? UNETS[0]!],
    ["text_encoder", TEXT],
  ]);
  const counts = new Map<string, number>();
  const modules = adapter.modules.map((module) => {
    const [component, number] = module.name.split(":") as [string, string];
    counts.set(component, (counts.get(component) ?? 0) + 1);
    const layer = models.get(component)?.[Number(number)];
    if (layer !== undefined && layer.out === module.out && layer.in === module.in)
      return renamed(module, layer.name);
    const expected = layer === undefined ? "none of that number" : `${layer.out} × ${layer.in}`;
    return unknown(module.name, expected, `${module.out} × ${module.in}`);
  });
  for (const [component, count] of counts) {
    const expected = models.get(component)!.length;
    if (count !== expected) unknown(component, `${expected} layers`, `${count}`);
  }
  return { ...adapter, modules };
}

function unknown(name: string, expected: string, actual: string): never {
  return fail(KIND.UNSUPPORTED_DIALECT, {
    where: `module ${quoteName(name)}`,
    expected: `the layers of Stable Diffusion 1, which have ${expected} here`,
    actual,
    advice:
      "This file has numbers instead of names, and they fit no model this version knows: keep it in its dialect.",
  });
}
