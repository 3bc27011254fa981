/**
 * Translates names of layers from one naming to another (see `Naming` in `dialect.ts`).
 *
 * Modules and plain tensors keep their meaning. If a name has no counterpart, or its counterpart would be a guess, the
 * adapter is refused with the reason.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { Adapter } from "../../model/adapter.ts";
import { COMPONENT } from "../../model/base-shape.ts";
import type { Naming, WriteOptions } from "../dialect.ts";
import { fromGguf, toGguf } from "../gguf/layers.ts";
import { quoteName } from "../json.ts";
import { numberedLayers } from "./numbers.ts";
import { rename } from "./rename.ts";

/** Beginnings of paths inside a component, to the component. */
const COMPONENT_OF: readonly (readonly [RegExp, string])[] = [
  [/^(down_blocks|up_blocks|mid_block|time_embedding|add_embedding|conv_in|conv_out)\b/, "unet"],
  [/^(transformer_blocks|single_transformer_blocks|x_embedder|context_embedder)\b/, "transformer"],
  [/^text_model\./, "text_encoder"],
];

/**
 * The adapter under the names of another naming, without its origin record, which refers to the old names.
 *
 * @throws LqaError UNSUPPORTED_DIALECT
 */
export function translate(adapter: Adapter, from: Naming, to: Naming, options: WriteOptions): Adapter {
  const plain = { ...adapter, origin: undefined };
  if (from === to) return plain;
  if (from === "numbers") return translate(numberedLayers(plain), "pipeline", to, options);
  if (from === "pipeline" && to === "model") return rename(plain, stripComponent(plain));
  if (from === "model" && to === "pipeline") return rename(plain, addComponent);
  if (from === "model" && to === "gguf") return toGguf(plain, options);
  if (from === "gguf" && to === "model") return fromGguf(plain, options);
  return fail(KIND.UNSUPPORTED_DIALECT, {
    where: "the names of the layers",
    expected:
      to === "numbers" ? "an adapter that came from cloneofsimo's program" : "layers of a language model",
    actual: from === "gguf" ? "llama.cpp's layers" : "layers of a diffusion pipeline or of one model",
  });
}

/** Removes the component's name: a model is one component. */
function stripComponent({ modules }: Adapter): (name: string) => string {
  const components = new Set(modules.map(({ name }) => COMPONENT.exec(name)?.[1] ?? ""));
  const [only] = components;
  if (components.size === 1 && only !== "") return (name) => name.replace(COMPONENT, "");
  return fail(KIND.UNSUPPORTED_DIALECT, {
    where: "the names of the layers",
    expected: "layers of one model",
    actual: [...components].map((component) => component || "none").join(", "),
    advice: "Write --to diffusers or --to kohya, which have a place for several models.",
  });
}

function addComponent(name: string): string {
  const component = COMPONENT_OF.find(([pattern]) => pattern.test(name))?.[1];
  if (component !== undefined) return `${component}.${name}`;
  return fail(KIND.UNSUPPORTED_DIALECT, {
    where: `module ${quoteName(name)}`,
    expected: "a layer of a diffusion model (down_blocks, transformer_blocks, text_model, …)",
    actual: "another one",
  });
}
