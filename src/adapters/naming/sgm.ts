/**
 * Names of a UNet's layers in Stability's own code (`input_blocks.4.1.…`), which kohya's SDXL files use, and in
 * diffusers (`down_blocks.1.attentions.0.…`).
 *
 * For UNets with two layers per block: Stable Diffusion 1, 2 and XL. Every rule works in both directions.
 *
 * @module
 */

/** Layers of a residual block. */
const RESNET: readonly (readonly [sgm: string, diffusers: string])[] = [
  ["in_layers.2", "conv1"],
  ["out_layers.3", "conv2"],
  ["emb_layers.1", "time_emb_proj"],
  ["skip_connection", "conv_shortcut"],
];

const SINGLE: readonly (readonly [sgm: string, diffusers: string])[] = [
  ["input_blocks.0.0", "conv_in"],
  ["time_embed.0", "time_embedding.linear_1"],
  ["time_embed.2", "time_embedding.linear_2"],
  ["label_emb.0.0", "add_embedding.linear_1"],
  ["label_emb.0.2", "add_embedding.linear_2"],
  ["out.2", "conv_out"],
];

/** Blocks: prefixes in both codes. */
const BLOCKS: readonly (readonly [sgm: string, diffusers: string])[] = [
  ...[0, 1, 2, 3].flatMap((block) => [
    ...[0, 1].flatMap((layer): [string, string][] => [
      [`input_blocks.${3 * block + layer + 1}.0`, `down_blocks.${block}.resnets.${layer}`],
      [`input_blocks.${3 * block + layer + 1}.1`, `down_blocks.${block}.attentions.${layer}`],
    ]),
    ...[0, 1, 2].flatMap((layer): [string, string][] => [
      [`output_blocks.${3 * block + layer}.0`, `up_blocks.${block}.resnets.${layer}`],
      [`output_blocks.${3 * block + layer}.1`, `up_blocks.${block}.attentions.${layer}`],
    ]),
    [`input_blocks.${3 * block + 3}.0.op`, `down_blocks.${block}.downsamplers.0.conv`] as [string, string],
    [`output_blocks.${3 * block + 2}.2.conv`, `up_blocks.${block}.upsamplers.0.conv`] as [string, string],
  ]),
  ["middle_block.0", "mid_block.resnets.0"],
  ["middle_block.1", "mid_block.attentions.0"],
  ["middle_block.2", "mid_block.resnets.1"],
];

/** The diffusers path of a layer; undefined if the path is not one of Stability's. */
export function fromSgm(path: string): string | undefined {
  const found = rename(path, 0, 1);
  return found !== undefined && rename(found, 1, 0) === path ? found : undefined;
}

/** Stability's path of a layer; undefined if it has none. */
export function toSgm(path: string): string | undefined {
  return rename(path, 1, 0);
}

function rename(path: string, from: 0 | 1, to: 0 | 1): string | undefined {
  for (const pair of SINGLE) if (path === pair[from]) return pair[to];
  for (const pair of BLOCKS) {
    if (path === pair[from]) return pair[to];
    if (!path.startsWith(`${pair[from]}.`)) continue;
    const inner = path.slice(pair[from].length + 1);
    if (!/\.resnets\./.test(pair[1])) return `${pair[to]}.${inner}`;
    const layer = RESNET.find((names) => names[from] === inner);
    // Only paths of residual blocks have these prefixes and one of these layers after it.
    if (layer !== undefined) return `${pair[to]}.${layer[to]}`;
  }
  return undefined;
}
