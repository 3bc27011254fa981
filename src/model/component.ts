/**
 * Components of diffusion pipelines that have LoRA layers, by the prefix of their layers' paths.
 *
 * @module
 */

/** Matches the component at the head of a path, dot included; the first group is its name. */
export const COMPONENT: RegExp =
  /^(unet|transformer|transformer_2|text_encoder|text_encoder_2|text_encoder_3|prior_\w+|prior|controlnet)\./;
