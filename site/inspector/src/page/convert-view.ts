/**
 * Encoding and writing, each in a worker of its own that can be stopped.
 *
 * @module
 */
import type { Calls, EncodeChoice, Input, Made, Opened, WriteChoice } from "../protocol.ts";
import { startJob } from "./client.ts";
import { byId, create, setMarkup } from "./dom.ts";
import { empty, offer } from "./downloads.ts";
import { clearProblem, showProblem } from "./problem.ts";
import { say, work } from "./work.ts";

const goal = byId<HTMLSelectElement>("goal");
const value = byId<HTMLInputElement>("goal-number");
const encoded = byId("encode-result");
const written = byId("write-result");

/** For each goal that is not chosen from a list: its name, and its initial value. */
const GOALS = {
  bits: ["Bits per weight, of the whole file", "1.5"],
  maxError: ["Energy of ΔW lost, in percent", "1"],
} as const;

let input: Input | undefined;
let open: (input: Input) => void = () => {};

/** Looks at something else. */
export function resetConvert(next: Input, opened: Opened, onOpen: (input: Input) => void): void {
  input = next;
  open = onOpen;
  empty(encoded);
  empty(written);
  byId("encode").hidden = opened.kind === "lqa" && !opened.withSource;
}

goal.onchange = () => {
  byId("goal-quality").hidden = goal.value !== "quality";
  byId("goal-value").hidden = goal.value === "quality";
  if (goal.value === "quality") return;
  const [label, usual] = GOALS[goal.value as keyof typeof GOALS];
  byId("goal-label").textContent = label;
  value.value = usual;
};

byId<HTMLFormElement>("encode-form").onsubmit = (event) => {
  event.preventDefault();
  const choice: EncodeChoice = {
    goal: goal.value as EncodeChoice["goal"],
    value: goal.value === "quality" ? byId<HTMLSelectElement>("quality").value : value.value,
    tensors: byId<HTMLSelectElement>("tensors").value as EncodeChoice["tensors"],
  };
  void run("Encoding", "encode", choice, encoded, offerLook);
};

/** The new file can be inspected together with its source. */
function offerLook({ downloads: [file] }: Made, source: Input): void {
  const { name, blob } = file!;
  const button = create("button", {
    type: "button",
    textContent: source.url === undefined ? "Look at it beside its source" : "Look at it",
  });
  button.onclick = () => {
    const beside = source.files.filter(({ path }) => !path.endsWith(".lqa"));
    open({ url: undefined, files: [...beside, { path: name, file: new File([blob], name) }] });
  };
  encoded.append(create("p", { className: "buttons" }, button));
}

byId<HTMLFormElement>("write-form").onsubmit = (event) => {
  event.preventDefault();
  const choice: WriteChoice = {
    to: byId<HTMLSelectElement>("dialect").value,
    factors: byId<HTMLSelectElement>("factors").value as WriteChoice["factors"],
  };
  void run("Writing", "write", choice, written, () => {});
};

async function run<K extends "encode" | "write">(
  title: string,
  call: K,
  choice: Calls[K]["told"],
  place: HTMLElement,
  more: (made: Made, source: Input) => void,
): Promise<void> {
  const source = input;
  if (source === undefined) return;
  clearProblem();
  empty(place);
  try {
    const made = await work<Made>(title, (onProgress) => startJob(source, call, choice, onProgress));
    if (source !== input) return;
    if (made === undefined) {
      place.append(create("p", { className: "faint", textContent: "Stopped; nothing was made." }));
      return;
    }
    setMarkup(place, made.markup);
    offer(place, made.downloads);
    more(made, source);
    say(`${title} is done.`);
  } catch (error) {
    if (source === input) showProblem(error);
  }
}
