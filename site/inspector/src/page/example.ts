/**
 * The example: a trained adapter (examples/number-words) next to the file that `encode` makes of it, so that the page shows
 * what was lost.
 *
 * @module
 */
import type { InputFile } from "../protocol.ts";

const NAMES = ["number-words.lqa", "adapter_config.json", "adapter_model.safetensors"];

/** Fetches the three files of the example from next to the page: 3.9 MB. */
export function exampleFiles(): Promise<InputFile[]> {
  return Promise.all(
    NAMES.map(async (name) => {
      const response = await fetch(`example/${name}`);
      if (!response.ok) throw new Error(`example/${name} answered ${response.status}. Reload the page.`);
      return { path: name, file: new File([await response.blob()], name) };
    }),
  );
}
