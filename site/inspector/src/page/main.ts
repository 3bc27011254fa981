/**
 * The page: what is given is opened in a worker and shown; then every byte is checked and every module decomposed, in another
 * worker, unless that would have to be downloaded first.
 *
 * @module
 */
import { size } from "../../../../src/report/format.ts";
import "virtual:report.css";
import type { Input, InputFile, InspectChoice, Opened } from "../protocol.ts";
import { enterBytes, resetBytes, showBytes } from "./bytes-view.ts";
import { Client, startJob } from "./client.ts";
import { resetConvert } from "./convert-view.ts";
import { decodeModule, enterDecode, resetDecode } from "./decode-view.ts";
import { byId, create } from "./dom.ts";
import { empty, offer } from "./downloads.ts";
import { chosenFiles, droppedFiles } from "./inputs.ts";
import { linkedAddress, linkedModule, linkTo } from "./link.ts";
import { clearProblem, showProblem } from "./problem.ts";
import { showReport } from "./report-view.ts";
import { allowTabs, showTab, startTabs, type TabName } from "./tabs.ts";
import { say, stopWork, work } from "./work.ts";

const files = byId<HTMLInputElement>("files");
const folder = byId<HTMLInputElement>("folder");
const actions = byId("report-actions");
const reading = byId("reading");
const another = byId("another");
const levelChoice = byId("level-choice");
const level = byId<HTMLSelectElement>("level");

let reader: Client | undefined;
let input: Input | undefined;
let fileBytes = 0;

/** Opens something, in place of what was there. */
async function open(next: Input): Promise<void> {
  stopWork();
  reader?.end();
  clearProblem();
  const client = new Client();
  reader = client;
  input = next;
  fileBytes = 0;
  client.onReading = () => showReading(client);
  resetBytes(client);
  resetDecode(client);
  document.body.dataset.state = "opening";
  linkTo(next.url);
  showStart(false);
  try {
    const opened = await client.call("open", next);
    if (reader !== client) return;
    show(next, opened);
    await showLinked(opened);
    await look(next, opened);
  } catch (error) {
    if (reader !== client) return;
    document.body.dataset.state = "failed";
    document.body.classList.remove("opened");
    byId("opened").hidden = true;
    reading.textContent = "";
    showProblem(error);
  }
}

function showReading({ reading: { bytes, largest } }: Client): void {
  if (fileBytes === 0) return;
  reading.textContent = `Read for what is shown: ${size(bytes)} of ${size(fileBytes)}`;
  reading.dataset.bytes = String(bytes);
  reading.dataset.largest = String(largest);
}

function show(from: Input, opened: Opened): void {
  fileBytes = opened.bytes;
  showReading(reader!);
  byId("opened").hidden = false;
  document.body.classList.add("opened");
  document.body.dataset.state = "opened";
  document.title = `${opened.title} – LQA inspector`;
  allowTabs(viewsOf(opened));
  resetConvert(from, opened, (next) => void open(next));
  showReport(opened, goToByte);
  empty(actions);
  showTab("report");
  say(`Opened ${opened.title}.`);
}

/** The module of a link, decoded. */
async function showLinked(opened: Opened): Promise<void> {
  const name = linkedModule();
  if (name === undefined || !viewsOf(opened).includes("decode")) return;
  showTab("decode");
  await decodeModule(name);
}

/** Shows or hides what opens another file, which gives its place to the file that is open. */
function showStart(shown: boolean): void {
  document.body.classList.toggle("another", shown);
  another.ariaExpanded = String(shown);
}

/** The views that there is something to show in. */
function viewsOf({ kind, usable, parameters }: Opened): TabName[] {
  const views: TabName[] = ["report"];
  if (kind === "lqa") views.push("bytes");
  if (kind === "lqa" && usable && parameters > 0) views.push("decode");
  if (usable) views.push("convert");
  return views;
}

function goToByte(offset: number): void {
  showTab("bytes", true);
  void showBytes(offset);
}

/** Inspects the whole file: at once if it is local, on request if it is remote. */
async function look(from: Input, opened: Opened): Promise<void> {
  if (!opened.remote) return inspect(from, opened, false);
  offerInspection(from, opened, `Check every byte and look into the weights (reads ${size(opened.bytes)})`);
}

async function inspect(from: Input, opened: Opened, compare: boolean): Promise<void> {
  empty(actions);
  const title = compare ? "Measuring other methods" : "Looking into all of it";
  const choice = { compare, level: level.value as InspectChoice["level"] };
  let found: Opened | undefined;
  try {
    found = await work(title, (onProgress) => startJob(from, "inspect", choice, onProgress));
  } catch (error) {
    if (from === input) showProblem(error);
    return;
  }
  if (from !== input) return;
  if (found === undefined) {
    offerInspection(from, opened, "Look into all of it");
    return;
  }
  showReport(found, goToByte);
  allowTabs(viewsOf(found));
  document.body.dataset.state = "complete";
  if (found.report !== undefined) offer(actions, [found.report]);
  const { card } = found;
  if (card !== undefined) copyAction("Copy as Markdown", card);
  if (found.withSource && !compare)
    action("Measure other methods on the source", () => inspect(from, found, true));
  if (found.kind === "lqa") offerInspection(from, found, "Check again");
  say(`The report on ${found.title} is complete.`);
}

/** A button to inspect the whole file, next to the level of the validator if there is one. */
function offerInspection(from: Input, opened: Opened, text: string): void {
  action(text, () => inspect(from, opened, false));
  if (opened.kind === "lqa") actions.append(levelChoice);
}

function action(textContent: string, run: () => unknown): void {
  const button = create("button", { type: "button", className: "quiet", textContent });
  button.onclick = () => void run();
  actions.append(button);
}

/** A button that copies a text. A page without https may not; then the text is shown, selected. */
function copyAction(textContent: string, text: string): void {
  const place = create("div", { className: "copied" });
  action(textContent, async () => {
    try {
      await navigator.clipboard.writeText(text);
      place.replaceChildren(
        create("p", { className: "faint", textContent: "Copied: lines for a model card." }),
      );
      say("Copied.");
    } catch {
      const box = create("textarea", {
        value: text,
        readOnly: true,
        rows: 12,
        ariaLabel: "Lines for a model card",
      });
      place.replaceChildren(box);
      box.focus();
      box.select();
    }
  });
  actions.append(place);
}

function openFiles(list: readonly InputFile[]): void {
  if (list.length > 0) void open({ files: list, url: undefined });
}

another.onclick = () => {
  showStart(another.ariaExpanded !== "true");
  if (another.ariaExpanded === "true") byId("choose-files").focus();
};
byId("choose-files").onclick = () => files.click();
byId("choose-folder").onclick = () => folder.click();
for (const chooser of [files, folder])
  chooser.onchange = () => {
    openFiles(chosenFiles(chooser.files));
    // The same file may be chosen again.
    chooser.value = "";
  };
byId("open-example").onclick = async () => {
  const { exampleFiles } = await import("./example.ts");
  openFiles(await exampleFiles());
};
byId<HTMLFormElement>("address-form").onsubmit = (event) => {
  event.preventDefault();
  const url = byId<HTMLInputElement>("address").value.trim();
  if (url !== "") void open({ files: [], url });
};

// Files may be dropped anywhere; a browser would leave the page for them.
let inside = 0;
const over = (change: number): void => {
  inside = Math.max(0, inside + change);
  document.body.classList.toggle("over", inside > 0);
};
addEventListener("dragenter", () => over(1));
addEventListener("dragleave", () => over(-1));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  over(-inside);
  if (event.dataTransfer !== null) void droppedFiles(event.dataTransfer).then(openFiles, showProblem);
});
addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  showProblem(event.reason);
});

startTabs((name) => {
  if (name === "bytes") void enterBytes();
  if (name === "decode") void enterDecode();
});

const linked = linkedAddress();
if (linked !== undefined) {
  byId<HTMLInputElement>("address").value = linked;
  void open({ files: [], url: linked });
}
