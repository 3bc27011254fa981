/**
 * The page: loads the model once, fetches an adapter when it is chosen for the first time, and answers with it.
 *
 * @module
 */
import "virtual:report.css";
import { MODEL } from "virtual:model";
import { isLqaError } from "../../../src/core/index.ts";
import { type Adapter, type Engine, startEngine } from "./engine.ts";

/** The adapters of the page: a file next to it, and a prompt that no training has seen. */
const CHOICES: Readonly<Record<string, { readonly title: string; readonly prompt: string }>> = {
  "": { title: "No adapter", prompt: "fr 93939 =" },
  "number-words": { title: "Number words", prompt: "fr 93939 =" },
  localized: { title: "Localized dates", prompt: "date pt 2065-09-20 =" },
  airports: {
    title: "Airports",
    prompt: "Kruger Airport [FAKN; MQP]. Nelspruit, ZA. 2829 ft.\nJSON:",
  },
};

const byId = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const [loading, asking] = [byId<HTMLFormElement>("loading"), byId<HTMLFormElement>("asking")];
const [address, prompt] = [byId<HTMLInputElement>("address"), byId<HTMLTextAreaElement>("prompt")];
const [progress, answers, fetched] = [
  byId<HTMLProgressElement>("progress"),
  byId("answers"),
  byId("fetched"),
];

let engine: Engine | undefined;
/** What was read, by name of the choice. */
const adapters = new Map<string, Adapter>();
let running = { controller: new AbortController(), end: Promise.resolve() };

const mega = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
const kilo = (bytes: number): string => `${Math.round(bytes / 1e3)} KB`;

address.value = MODEL;
loading.addEventListener("submit", (event) => {
  event.preventDefault();
  void attempt(async () => startWith(await fetchModel(address.value)));
});
byId<HTMLInputElement>("model-file").addEventListener("change", ({ target }) => {
  const [file] = (target as HTMLInputElement).files ?? [];
  if (file !== undefined) void attempt(() => startWith(file));
});
asking.addEventListener("submit", (event) => {
  event.preventDefault();
  void ask();
});
for (const choice of asking.querySelectorAll<HTMLInputElement>("input[name=adapter]"))
  choice.addEventListener("change", () => {
    prompt.value = CHOICES[choice.value]?.prompt ?? prompt.value;
    void ask();
  });
byId<HTMLInputElement>("own").addEventListener("change", ({ target }) => {
  const [file] = (target as HTMLInputElement).files ?? [];
  if (file === undefined) return;
  adapters.delete("own");
  void attempt(async () => {
    adapters.set("own", await engine!.readAdapter(file));
    const choice = byId<HTMLInputElement>("own-choice");
    choice.disabled = false;
    choice.checked = true;
    await ask();
  });
});

/** Fetches the base model once; a later visit finds it in the cache of the browser. */
async function fetchModel(url: string): Promise<Blob> {
  const cache = await caches.open("lqa-models");
  const kept = await cache.match(url);
  if (kept !== undefined) return await kept.blob();
  // A browser says no more than that it failed: no connection, or a server that does not allow other sites (CORS).
  const response = await fetch(url).catch(() => {
    throw new Error(
      `${url} could not be fetched. Check the connection, or download the file and choose it below.`,
    );
  });
  const body = bodyOf(response);
  progress.hidden = false;
  const total = Number(response.headers.get("content-length"));
  let have = 0;
  const counted = new TransformStream<Uint8Array, Uint8Array>({
    transform(piece, out) {
      have += piece.length;
      if (total > 0) progress.value = have / total;
      showFetched(have);
      out.enqueue(piece);
    },
  });
  const blob = await new Response(body.pipeThrough(counted)).blob();
  if (total > 0 && blob.size !== total)
    throw new Error(`${url} ended after ${blob.size} of ${total} bytes. Load it again.`);
  await cache.put(url, new Response(blob));
  return blob;
}

function bodyOf({ url, ok, status, body }: Response): ReadableStream<Uint8Array<ArrayBuffer>> {
  if (ok && body !== null) return body;
  if (status === 401 || status === 403)
    throw new Error(`${url} needs an account (${status}). Download the file signed in, and choose it below.`);
  if (status === 404 || status === 410)
    throw new Error(`There is no file at ${url} (${status}). Check the address.`);
  throw new Error(`${url} answered ${status}. Try again later, or download the file and choose it below.`);
}

async function startWith(model: Blob): Promise<void> {
  engine = await startEngine(model);
  showFetched(model.size);
  loading.hidden = true;
  asking.hidden = false;
  document.body.dataset.state = "ready";
}

function showFetched(model = Number(fetched.dataset.model)): void {
  fetched.dataset.model = String(model);
  const have = [...adapters].flatMap(([name, each]) => (name === "own" ? [] : [each]));
  const sum = (size: "bytes" | "bytes16"): string => kilo(have.reduce((all, each) => all + each[size], 0));
  fetched.textContent = `Fetched: model ${mega(model)}${
    have.length > 0 ? `, ${have.length} of 3 adapters ${sum("bytes")} (in 16 bits ${sum("bytes16")})` : ""
  }`;
}

/** Answers with the chosen adapter. An answer that is still being written stops. */
async function ask(): Promise<void> {
  running.controller.abort();
  const before = running.end;
  const controller = new AbortController();
  const name = new FormData(asking).get("adapter") as string;
  const end = before.then(() => attempt(() => answer(name, prompt.value, controller.signal)));
  running = { controller, end };
  await end;
}

async function answer(name: string, text: string, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  document.body.dataset.state = "answering";
  const started = performance.now();
  const item = byId<HTMLTemplateElement>("answer").content.firstElementChild!.cloneNode(true) as HTMLElement;
  const figures: string[] = [];
  const [title, question, reply, note] = item.children as unknown as HTMLElement[];
  title!.textContent = CHOICES[name]?.title ?? "Your adapter";
  question!.textContent = text;
  item.dataset.adapter = name;
  answers.prepend(item);
  try {
    let adapter = adapters.get(name);
    if (name !== "" && adapter === undefined) {
      // Decoded as it arrives.
      adapter = await engine!.readAdapter(bodyOf(await fetch(`adapters/${name}.lqa`, { signal })));
      adapters.set(name, adapter);
      showFetched();
      figures.push(`${seconds(performance.now() - started)} to fetch and decode ${kilo(adapter.bytes)}`);
    }
    const read = performance.now();
    if (await engine!.prepare(adapter))
      figures.push(`${seconds(performance.now() - read)} to start llama.cpp`);
    const tokens: number[] = [];
    let first = 0;
    for await (const piece of engine!.answer(text, adapter, signal)) {
      first ||= performance.now();
      tokens.push(...piece.tokens);
      reply!.textContent = `${reply!.textContent}${piece.text}`.trimStart();
    }
    item.dataset.tokens = tokens.join(" ");
    item.dataset.first = String(Math.round(first - started));
    const rate = (1000 * (tokens.length - 1)) / (performance.now() - first);
    figures.unshift(`${seconds(first - started)} to the first token`);
    figures.push(`${rate.toFixed(0)} tokens a second`);
    note!.textContent = figures.join(" · ");
  } catch (error) {
    if (!signal.aborted) throw error;
    note!.textContent = "stopped";
  } finally {
    document.body.dataset.state = "ready";
  }
}

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`;

/** Shows what went wrong, and what to do. */
async function attempt(work: () => Promise<void>): Promise<void> {
  const problem = byId("problem");
  problem.textContent = "";
  try {
    await work();
  } catch (error) {
    problem.textContent = isLqaError(error) ? `${error.message} ${error.advice}` : String(error);
    document.body.dataset.state = "failed";
  }
}
