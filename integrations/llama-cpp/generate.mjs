/**
 * An .lqa file in llama.cpp: written as a GGUF adapter, loaded with its base model, and asked to go on with a prompt.
 *
 *   node generate.mjs MODEL.gguf ADAPTER.lqa PROMPT [THREADS]
 *
 * THREADS are 4 if none are given, and no more than the cores: threads of llama.cpp wait for each other in busy loops, and slow each
 * other down where there are more of them than free cores.
 */
import { availableParallelism } from "node:os";
import { decodeFile, readBaseDescription } from "lqa/node";
import { getLlama, LlamaCompletion } from "node-llama-cpp";
import { inMemory } from "./in-memory.mjs";

const [modelPath, adapter, prompt, threads = "4"] = process.argv.slice(2);
const maxThreads = Math.min(Number(threads), availableParallelism());
if (prompt === undefined || !(maxThreads >= 1)) {
  console.error("usage: node generate.mjs MODEL.gguf ADAPTER.lqa PROMPT [THREADS]");
  process.exit(2);
}
const base = await readBaseDescription(modelPath);
const llama = await getLlama({
  gpu: false,
  build: "never",
  maxThreads,
  progressLogs: false,
  logLevel: "error",
});
const model = await llama.loadModel({ modelPath });
const context = await inMemory(async (filePath) => {
  // Refuses an adapter that does not fit the model.
  const { notes } = await decodeFile(adapter, filePath, { to: "gguf", base });
  for (const note of notes) console.error(`note: ${note}`);
  return await model.createContext({ contextSize: 512, lora: { adapters: [{ filePath }] } });
});
const completion = new LlamaCompletion({ contextSequence: context.getSequence() });
console.log(await completion.generateCompletion(prompt, { maxTokens: 64, temperature: 0 }));
await llama.dispose();
