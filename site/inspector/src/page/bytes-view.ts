/**
 * The browser of bytes: parts of the file, a dump of one in hexadecimal, its fields, and the clause that a field is about.
 *
 * @module
 */
import { count } from "../../../../src/report/format.ts";
import type { BytePage, FieldRow, RegionRow } from "../protocol.ts";
import type { Client } from "./client.ts";
import { byId, create, nameElement, setMarkup } from "./dom.ts";
import { showProblem } from "./problem.ts";

/** Bytes that are shown at once, bytes of a line, and parts that are listed. */
const WINDOW = 256;
const LINE = 16;
const LISTED = 100;

const filter = byId<HTMLInputElement>("region-filter");
const list = byId("regions");
const hex = byId("hex");
const rows = byId("fields").querySelector("tbody")!;
const clause = byId("clause");

let client: Client | undefined;
let from = 0;
/** Only the latest requested list counts: answers to earlier letters may come later. */
let lists = 0;
let listed = "";
let total = 0;
let page: BytePage | undefined;
/** The bytes of the dump. */
let cells: HTMLElement[] = [];

/** Looks at another file. Nothing is read before the view is shown. */
export function resetBytes(next: Client): void {
  client = next;
  page = undefined;
  from = 0;
  listed = "";
  filter.value = "";
  clause.hidden = true;
}

/** Shows the view: the beginning of the file, unless something was looked at before. */
export async function enterBytes(): Promise<void> {
  if (page === undefined) await showBytes(0);
}

/** Shows the bytes from an offset on. */
export async function showBytes(offset: number): Promise<void> {
  const own = client;
  if (own === undefined) return;
  try {
    if (page === undefined) await listRegions();
    const next = await own.call("bytes", { offset, length: WINDOW });
    if (own === client) draw(next, offset);
  } catch (error) {
    if (own === client) showProblem(error);
  }
}

async function listRegions(): Promise<void> {
  const own = client;
  if (own === undefined) return;
  const number = ++lists;
  const found = await own.call("regions", { query: filter.value, from, most: LISTED });
  if (own !== client || number !== lists) return;
  total = found.total;
  // The same list again must not take the focus away.
  const shown = found.regions.map((region) => region.number).join();
  if (shown !== listed) list.replaceChildren(...found.regions.map(regionItem));
  listed = shown;
  const last = Math.min(total, from + LISTED);
  byId("region-count").textContent =
    total === 0 ? "No part has this in its name." : `${from + 1} to ${last} of ${count(total)} parts`;
  byId<HTMLButtonElement>("regions-back").disabled = from === 0;
  byId<HTMLButtonElement>("regions-on").disabled = last === total;
  markRegion();
}

function regionItem(region: RegionRow): HTMLElement {
  const kind = region.kind === region.name ? "" : `${region.kind}, `;
  const button = create(
    "button",
    { type: "button", className: "region" },
    nameElement(region.name),
    create("small", {
      textContent: `${kind}byte ${count(region.offset)}, ${count(region.length)} bytes`,
    }),
  );
  button.dataset.region = String(region.number);
  button.onclick = () => void showBytes(region.offset);
  return create("li", {}, button);
}

/** Marks the part that is shown. */
function markRegion(): void {
  for (const button of list.querySelectorAll<HTMLElement>("button.region"))
    button.ariaCurrent = button.dataset.region === String(page?.region.number) ? "true" : null;
}

function draw(next: BytePage, wanted: number): void {
  page = next;
  const { region, offset, bytes, fields, fileLength } = next;
  const end = offset + bytes.length;
  byId("region-title").replaceChildren(
    nameElement(region.kind === region.name ? region.name : `${region.kind} ${region.name}`),
    create("small", {
      className: "faint",
      textContent: ` bytes ${count(offset)} to ${count(end - 1)} of ${count(fileLength)}, `,
    }),
    clauseButton(region.clause, `clause ${region.clause}`),
  );
  byId<HTMLInputElement>("goto-offset").value = String(offset);
  byId<HTMLButtonElement>("dump-back").disabled = offset === 0;
  byId<HTMLButtonElement>("dump-on").disabled = end >= fileLength;
  const fieldAt = (at: number): number =>
    fields.findIndex((field) => field.offset <= at && at < field.offset + field.length);
  cells = [];
  const lines: Node[] = [];
  for (let at = offset - (offset % LINE); at < end; at += LINE) lines.push(dumpLine(next, at, fieldAt));
  hex.replaceChildren(...lines);
  rows.replaceChildren(...fields.map(fieldRow));
  if (fields.length === 0)
    rows.append(
      create(
        "tr",
        {},
        create("td", {
          colSpan: 5,
          textContent: "These bytes cannot be classified: the prologue or the index is damaged.",
        }),
      ),
    );
  markRegion();
  const at = fieldAt(wanted);
  if (at >= 0 && wanted > offset) select(fields[at]!, false);
}

function dumpLine({ offset, bytes, fields }: BytePage, at: number, fieldAt: (at: number) => number): Node {
  const line = create("span", {
    className: "faint",
    textContent: `${at.toString().padStart(10)}  `,
  });
  const whole = create("span", {}, line);
  let text = "";
  for (let i = at; i < at + LINE; i++) {
    const byte = i < offset ? undefined : bytes[i - offset];
    const cell = create("span", { textContent: byte?.toString(16).padStart(2, "0") ?? "  " });
    if (byte !== undefined) {
      const number = fieldAt(i);
      cell.className = number < 0 ? "byte" : `byte f${number % 2}`;
      cell.title = fields[number]?.name ?? "";
      cell.onclick = () => {
        if (number >= 0) select(fields[number]!, true);
      };
      cells[i - offset] = cell;
    }
    whole.append(cell, i === at + LINE / 2 - 1 ? "  " : " ");
    text += byte === undefined ? " " : byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·";
  }
  whole.append(create("span", { className: "faint", textContent: ` ${text}\n` }));
  return whole;
}

function fieldRow(field: FieldRow): HTMLElement {
  const name = create("button", { type: "button", className: "link", textContent: field.name });
  name.onclick = () => select(field, false);
  name.onfocus = () => highlight(field);
  const row = create(
    "tr",
    {},
    create("th", { scope: "row" }, name),
    create("td", { className: "num", textContent: String(field.offset) }),
    create("td", { className: "num", textContent: String(field.length) }),
    create("td", { className: "value", textContent: field.value ?? "" }),
    create("td", {}, clauseButton(field.clause, field.clause)),
  );
  row.dataset.offset = String(field.offset);
  return row;
}

function clauseButton(number: string, textContent: string): HTMLElement {
  const button = create("button", {
    ...{ type: "button", className: "link", textContent },
    ariaLabel: `clause ${number}`,
  });
  button.onclick = () => void showClause(number);
  return button;
}

/** Marks a field among bytes and fields, and shows its clause. */
function select(field: FieldRow, scroll: boolean): void {
  highlight(field);
  for (const row of rows.querySelectorAll("tr")) {
    const own = row.dataset.offset === String(field.offset);
    row.classList.toggle("selected", own);
    if (own && scroll) row.scrollIntoView({ block: "nearest" });
  }
  void showClause(field.clause);
}

function highlight({ offset, length }: FieldRow): void {
  const first = page!.offset;
  cells.forEach((cell, i) => {
    cell.classList.toggle("selected", first + i >= offset && first + i < offset + length);
  });
}

async function showClause(number: string): Promise<void> {
  const own = client;
  if (own === undefined) return;
  const markup = await own.call("clause", { number });
  if (own !== client) return;
  setMarkup(clause, markup);
  clause.hidden = false;
}

function turn(to: number): void {
  from = to;
  void listRegions().catch(showProblem);
}

filter.oninput = () => turn(0);
byId("regions-back").onclick = () => turn(Math.max(0, from - LISTED));
byId("regions-on").onclick = () => turn(from + LISTED < total ? from + LISTED : from);
byId("dump-back").onclick = () => {
  if (page === undefined) return;
  const { region, offset } = page;
  // From the beginning of a part to the end of the one before it.
  void showBytes(offset > region.offset ? Math.max(region.offset, offset - WINDOW) : Math.max(0, offset - 1));
};
byId("dump-on").onclick = () => {
  if (page !== undefined) void showBytes(page.offset + page.bytes.length);
};
byId<HTMLFormElement>("goto").onsubmit = (event) => {
  event.preventDefault();
  const text = byId<HTMLInputElement>("goto-offset").value.replace(/[\s,_]/g, "");
  const offset = Number(text);
  if (text !== "" && Number.isSafeInteger(offset) && offset >= 0) void showBytes(offset);
};
