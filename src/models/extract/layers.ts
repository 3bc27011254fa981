/**
 * Tells from the names and shapes of tensors which layers are embeddings, which store their weights transposed, and which
 * ones a pattern matches.
 *
 * A file of weights does not say what kind of layer a weight belongs to. Names are the only evidence, and they suffice: the
 * lists cover the models of the transformers library. The report of an extraction shows these decisions.
 *
 * @module
 */

/** Output heads, which have a row for each token. */
const OUTPUT_LAYERS = new Set(["decoder", "embed_out", "lm_head", "output", "output_layer"]);

/** Tables of rows that are looked up, not multiplied. */
const EMBEDDING_LAYERS = /^(embed_.*|.*embeddings?|relative_attention_bias|shared|wpe|wte)$/;

/** `output` and `decoder` inside a numbered layer are linear layers like others. */
const NUMBERED = /(^|\.)\d+\./;

/** Whether a matrix belongs to an embedding or to an output head, by the name of its layer. */
export function vocabularyLayer(layer: string): "embedding" | "output" | undefined {
  const last = layer.slice(layer.lastIndexOf(".") + 1);
  if (EMBEDDING_LAYERS.test(last)) return "embedding";
  return OUTPUT_LAYERS.has(last) && !NUMBERED.test(layer) ? "output" : undefined;
}

/**
 * Whether a model stores its linear layers as (in, out), as GPT-2 and its relatives do. The evidence is the layer that
 * computes query, key and value together: only in this layout has its weight three times as many columns as rows.
 */
export function looksTransposed(
  tensors: Iterable<readonly [string, { readonly shape: readonly number[] }]>,
): boolean {
  for (const [name, { shape }] of tensors) {
    if (/(^|\.)c_attn\.weight$/.test(name) && shape.length === 2 && shape[1] === 3 * shape[0]!) return true;
  }
  return false;
}

/** The layer a tensor belongs to: its name without the last part. Empty for a bare parameter. */
export function layerOf(tensor: string): string {
  return tensor.slice(0, Math.max(tensor.lastIndexOf("."), 0));
}

/**
 * Whether a pattern matches a layer; `*` matches any characters and `?` one. As in PEFT's target_modules, a pattern may be the
 * end of a name: `q_proj` means every layer of that name. Takes at most pattern length · name length steps.
 */
export function matchesLayer(pattern: string, layer: string): boolean {
  return wildcard(pattern, layer) || wildcard(`*.${pattern}`, layer);
}

function wildcard(pattern: string, text: string): boolean {
  let p = 0;
  let star = -1;
  let resume = 0;
  for (let t = 0; t < text.length; ) {
    if (p < pattern.length && (pattern[p] === "?" || (pattern[p] === text[t] && pattern[p] !== "*"))) {
      p++;
      t++;
    } else if (pattern[p] === "*") {
      star = p++;
      resume = t;
    } else if (star >= 0) {
      p = star + 1;
      t = ++resume;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}

/**
 * The prefix that turns names of `short` into names of `long`: a model saved with its head has `transformer.h.0…`, the same
 * model saved without it `h.0…`. Empty if the two share a name; undefined if no prefix turns more than half of the names.
 */
export function commonPrefix(
  short: ReadonlyMap<string, unknown>,
  long: ReadonlyMap<string, unknown>,
): string | undefined {
  for (const name of short.keys()) if (long.has(name)) return "";
  // A few names suffice: if the models belong together, almost any name yields the prefix.
  for (const name of [...short.keys()].slice(0, 16)) {
    for (const other of long.keys()) {
      if (!other.endsWith(`.${name}`)) continue;
      const prefix = other.slice(0, -name.length);
      let shared = 0;
      for (const each of short.keys()) if (long.has(prefix + each)) shared++;
      if (2 * shared > short.size) return prefix;
    }
  }
  return undefined;
}
