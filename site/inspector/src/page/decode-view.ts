/**
 * Decoding one module.
 *
 * @module
 */
import { count } from "../../../../src/report/format.ts";
import type { Client } from "./client.ts";
import { byId, create, setMarkup } from "./dom.ts";
import { empty, offer } from "./downloads.ts";
import { linkToModule } from "./link.ts";
import { clearProblem, showProblem } from "./problem.ts";

const filter = byId<HTMLInputElement>("module-filter");
const modules = byId<HTMLSelectElement>("module");
const result = byId("decode-result");
const form = byId<HTMLFormElement>("decode-form");
const submit = form.querySelector<HTMLButtonElement>("button[type=submit]")!;

let client: Client | undefined;
/** Only the latest requested list counts. */
let lists = 0;

/** Looks at another file. */
export function resetDecode(next: Client): void {
  client = next;
  filter.value = "";
  modules.replaceChildren();
  empty(result);
}

/** Chooses a module by its name and decodes it; a name that the file does not have is left in the filter. */
export async function decodeModule(name: string): Promise<void> {
  filter.value = name;
  await list();
  modules.value = name;
  await decode();
}

/** Shows the view. */
export async function enterDecode(): Promise<void> {
  if (modules.options.length === 0) await list();
}

async function list(): Promise<void> {
  const own = client;
  if (own === undefined) return;
  const number = ++lists;
  const { total, names } = await own.call("modules", { query: filter.value });
  if (own !== client || number !== lists) return;
  modules.replaceChildren(...names.map((name) => create("option", { value: name, textContent: name })));
  modules.selectedIndex = names.length > 0 ? 0 : -1;
  byId("module-count").textContent =
    total > names.length ? `(the first ${names.length} of ${count(total)})` : `(${count(total)})`;
}

async function decode(): Promise<void> {
  const own = client;
  if (own === undefined || modules.value === "") return;
  clearProblem();
  submit.disabled = true;
  try {
    const type = byId<HTMLSelectElement>("decode-type").value as "f32" | "f16";
    const { markup, downloads } = await own.call("decode", { module: modules.value, type });
    if (own !== client) return;
    empty(result);
    setMarkup(result, markup);
    offer(result, downloads);
    linkToModule(modules.value);
  } catch (error) {
    showProblem(error);
  } finally {
    submit.disabled = false;
  }
}

filter.oninput = () => void list().catch(showProblem);
form.onsubmit = (event) => {
  event.preventDefault();
  void decode();
};
