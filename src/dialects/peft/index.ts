/**
 * The PEFT dialect: directories that Hugging Face PEFT's `save_pretrained` writes for LoRA.
 *
 * @module
 */
import type { Dialect, SourceFiles } from "../dialect.ts";
import { CONFIG_FILE, findWeights, readPeft, WEIGHTS_FILE } from "./read.ts";
import { writePeft } from "./write.ts";

/** See {@link Dialect}. Reads what PEFT 0.2 to 0.21 write; `fields.ts` lists every field and what is done with it. */
export const peft: Dialect = { name: "peft", detect, read: readPeft, write: writePeft };

/** A configuration that names a PEFT method, or PEFT's own file name with a configuration that is not MLX's. */
function detect(files: SourceFiles): boolean {
  const config = files.get(CONFIG_FILE);
  if (config === undefined || findWeights(files) === undefined) return false;
  const text = new TextDecoder().decode(config.subarray(0, config.length));
  return text.includes('"peft_type"') || (files.has(WEIGHTS_FILE) && !text.includes('"fine_tune_type"'));
}
