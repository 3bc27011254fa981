/**
 * A language model in the browser with adapters from `.lqa` files: llama.cpp (by way of wllama), one base model, and for each answer
 * the adapter that the caller chooses.
 *
 * llama.cpp reads adapters as GGUF when it starts. A new adapter therefore starts it again, with the base model that is in memory
 * already; adapters that it knows take turns without a restart. Nothing of this needs Node.
 *
 * @module
 */
import { Wllama } from "@wllama/wllama/esm/index.js";
import wasm from "@wllama/wllama/esm/wasm/wllama.wasm?url";
import { baseFromGguf, writeAdapter } from "../../../src/adapters/index.ts";
import { type Input, open } from "../../../src/core/index.ts";

/** The header of a GGUF file with a vocabulary of 49,152 tokens has 2 MB. */
const HEADER = 16 << 20;

/** An adapter that was read. */
export interface Adapter {
  readonly gguf: Blob;
  /** Bytes of the `.lqa` file, and of its weights in 16 bits. */
  readonly bytes: number;
  readonly bytes16: number;
}

/** A running model. */
export interface Engine {
  /** Reads an adapter. @throws LqaError if the file is broken or of another base model: nothing changes then */
  readAdapter(source: Input): Promise<Adapter>;
  /** Starts llama.cpp unless it runs and knows the adapter. @returns whether it had to */
  prepare(adapter: Adapter | undefined): Promise<boolean>;
  /**
   * Continues a prompt, the most likely token each time. One answer at a time, after `prepare`.
   *
   * @param adapter undefined: the base model alone
   * @returns pieces of the answer, with their tokens
   */
  answer(
    prompt: string,
    adapter: Adapter | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<{ text: string; tokens: number[] }>;
}

/**
 * Makes an engine of a base model.
 *
 * @param model a GGUF file
 * @throws LqaError if it is not one, or if this version cannot name the layers of its architecture
 */
export async function startEngine(model: Blob): Promise<Engine> {
  const base = baseFromGguf(new Uint8Array(await model.slice(0, HEADER).arrayBuffer()));
  let known: readonly Adapter[] = [];
  let llama: Wllama | undefined;

  async function start(adapters: readonly Adapter[]): Promise<void> {
    await llama?.exit();
    llama = undefined;
    const next = new Wllama({ default: new URL(wasm, location.href).href }, { logger: QUIET });
    const files = [model, ...adapters.map(({ gguf }) => gguf)];
    const five = (count: number): string => String(count).padStart(5, "0");
    try {
      await next.loadModel(files, {
        n_ctx: 512,
        n_parallel: 1,
        n_gpu_layers: 0,
        warmup: false,
        // wllama names its files so, in the order in which they are given.
        lora_adapters: adapters.map((_, i) => ({
          path: `models/model-${five(i + 2)}-of-${five(files.length)}.gguf`,
          scale: 0,
        })),
      });
    } catch (error) {
      await next.exit();
      throw error;
    }
    [known, llama] = [adapters, next];
  }

  return {
    async readAdapter(source) {
      const file = await open(source);
      const adapter = await file.adapter();
      const [gguf] = writeAdapter(adapter, { to: "gguf", factors: "source", base }).values();
      const weights = adapter.modules.reduce((sum, { b, a }) => sum + b.length + a.length, 0);
      return { gguf: new Blob([gguf as BlobPart]), bytes: file.prologue.fileLength, bytes16: 2 * weights };
    },

    async prepare(adapter) {
      const missing = adapter !== undefined && !known.includes(adapter);
      if (llama !== undefined && !missing) return false;
      await start(missing ? [...known, adapter] : known);
      return true;
    },

    async *answer(prompt, adapter, signal) {
      const chunks = await llama!.createCompletion({
        prompt,
        stream: true,
        temperature: 0,
        max_tokens: 48,
        logprobs: 1,
        // The keys and values of a prompt depend on the adapter: another one must not find them.
        cache_prompt: false,
        lora: known.map((each, id) => ({ id, scale: each === adapter ? 1 : 0 })),
        abortSignal: signal,
      });
      for await (const { choices } of chunks) {
        const [choice] = choices;
        if (choice !== undefined)
          yield { text: choice.text, tokens: (choice.logprobs?.content ?? []).map(({ id }) => id) };
      }
    },
  };
}

/** llama.cpp says much when it loads. */
const QUIET = { debug() {}, log() {}, warn() {}, error: (...words: unknown[]) => console.error(...words) };
