/** What this page uses of wllama, whose own declarations do not resolve as modules and do not know `lora`. */
declare module "@wllama/wllama/esm/index.js" {
  export interface Chunk {
    readonly choices: readonly {
      readonly text: string;
      readonly logprobs: { readonly content: readonly { readonly id: number }[] } | null;
    }[];
  }
  export class Wllama {
    constructor(
      paths: { default: string },
      options: { logger: Record<string, (...words: unknown[]) => void> },
    );
    loadModel(files: readonly Blob[], options: Record<string, unknown>): Promise<void>;
    createCompletion(request: Record<string, unknown>): Promise<AsyncIterable<Chunk>>;
    exit(): Promise<void>;
  }
}
declare module "*.wasm?url" {
  const address: string;
  export default address;
}
declare module "virtual:report.css" {}
declare module "virtual:model" {
  /** Address of the base model, or nothing. */
  export const MODEL: string;
}
