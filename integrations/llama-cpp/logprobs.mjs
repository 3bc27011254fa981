/**
 * What llama.cpp thinks comes next: reads {model, adapter?, rows: (number[] | string)[], greedy?: number} as JSON from standard input and
 * writes {rows: {token, probability}[][], texts: number[][]}: for each row, of tokens or a text, the probabilities of all tokens behind it, by
 * token, and (greedy) as many tokens as asked for, the most likely one each time.
 */
import { getLlama } from "node-llama-cpp";

const parts = [];
for await (const part of process.stdin) parts.push(part);
const { model: modelPath, adapter, rows, greedy = 0 } = JSON.parse(Buffer.concat(parts).toString("utf8"));
const llama = await getLlama({
  gpu: false,
  build: "never",
  progressLogs: false,
  logLevel: "error",
  // Threads of llama.cpp spin while they wait: on a busy machine two are slower than one.
  maxThreads: 1,
});
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({
  contextSize: 256,
  ...(adapter && { lora: { adapters: [{ filePath: adapter }] } }),
});
const sequence = context.getSequence();
const probabilities = [];
const texts = [];
for (const given of rows) {
  const row = typeof given === "string" ? model.tokenize(given) : given;
  await sequence.clearHistory();
  const last = (token, what) => [token, { generateNext: what }];
  const first = await sequence.controlledEvaluate([
    ...row.slice(0, -1),
    last(row.at(-1), { probabilities: true }),
  ]);
  const found = first.at(-1).next.probabilities;
  probabilities.push([...found].sort(([x], [y]) => x - y).map(([, probability]) => probability));
  let [next] = [...found].reduce((best, each) => (each[1] > best[1] ? each : best));
  const text = [];
  while (text.length < greedy) {
    text.push(next);
    if (model.isEogToken(next) || text.length === greedy) break;
    const step = await sequence.controlledEvaluate([
      last(next, { token: true, options: { temperature: 0 } }),
    ]);
    next = step.at(-1).next.token;
  }
  texts.push(text);
}
process.stdout.write(JSON.stringify({ rows: probabilities, texts }), () => process.exit(0));
