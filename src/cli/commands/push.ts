/**
 * `lqa push`: upload an `.lqa` file and its model card to the Hugging Face hub.
 *
 * @module
 */
import { join } from "node:path";
import * as KIND from "../../error-catalogue.ts";
import { fail, isLqaError } from "../../errors.ts";
import { lqaPath } from "../../node/files/adapter-files.ts";
import { CONFIG_FILE, LQA_FILE } from "../../node/files/adapter-names.ts";
import { isDirectory, MAX_SIDE_FILE, readRegularFile } from "../../node/files/file.ts";
import { openParents } from "../../node/open-parents.ts";
import { layoutConfig } from "../../node/peft-layout.ts";
import { readValidAdapter } from "../../node/read-valid.ts";
import { openPush, pushTarget } from "../../node/remote/hub-push.ts";
import { MOST_CARD, type PushPlan } from "../../node/remote/push-plan.ts";
import { diffAdapters } from "../../report/diff.ts";
import { modelCard } from "../../report/model-card.ts";
import { type Arguments, listOption, textOption } from "../command.ts";
import { counted, jsonText, printable } from "../format.ts";
import { facts, note, title } from "../layout.ts";
import { openAdapter } from "../open-adapter.ts";
import { remoteOptions } from "../open-input.ts";
import { sourceSettings } from "../source-options.ts";
import type { Terminal } from "../terminal.ts";
import { fileFacts } from "../written-facts.ts";

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const [path, location] = fileAndLocation(args);
  const remote = remoteOptions(args);
  const inside = await lqaPath(path);
  const isLayout = inside !== path || textOption(args, "layout") === "peft";
  const name = isLayout ? LQA_FILE : path;
  const target = await pushTarget(name, location);
  const parents = await openParents(listOption(args, "parent"), { remote });
  const from = textOption(args, "source");
  const compare = from !== undefined;
  const { bytes, file, adapter, ids } = await readValidAdapter(inside, { parents, compare });
  if (isLayout && file.parentId !== undefined)
    fail(KIND.USAGE, {
      where: "lqa push",
      expected: "a file without a parent in the layout peft",
      actual: `the parent ${file.parentId}`,
      advice: "Make it whole first: lqa rebase.",
    });
  // The configuration of a directory is its owner's; of a file alone it is made.
  const config = !isLayout ? undefined : ((await configIn(path)) ?? layoutConfig(adapter));
  const source =
    from === undefined
      ? undefined
      : await openAdapter(from, { ...sourceSettings(args), scaleIfMissing: true }, remote, parents);
  const card = await cardOf(args, ids.fileId, async () =>
    modelCard(file, {
      ...target,
      title: heading(textOption(args, "title") ?? target.name),
      fileId: ids.fileId,
      relativeError: source && diffAdapters(source, adapter).relativeError,
    }),
  );
  const plan = await openPush(name, location, bytes, card, {
    config,
    force: args.values.has("force"),
    replaceCard: args.values.has("replace-card"),
    private: args.values.has("private") ? true : undefined,
    message: textOption(args, "message"),
    remote,
  });
  const dry = args.values.has("dry-run");
  if (!dry) terminal.progress(0, plan.files.size, `uploading to ${plan.target.location}`);
  const commit = dry ? undefined : await plan.push();
  terminal.endProgress();
  if (args.values.has("json")) {
    const files = [...plan.files].map(([name, content]) => ({ name, bytes: content.length }));
    const { target, creates, cardKept = null } = plan;
    terminal.out(
      jsonText({ ...target, creates, files, cardKept, card: card ?? null, commit: commit ?? null }),
    );
    return 0;
  }
  terminal.out(`${lines(plan, dry, commit, terminal).join("\n")}\n`);
  if (dry && card !== undefined) terminal.out(`\n${card.split("\n").map(printable).join("\n")}`);
  return 0;
}

function fileAndLocation({ positionals }: Arguments): readonly [string, string] {
  const [path, location, ...more] = positionals as readonly [string, string?, ...string[]];
  if (location !== undefined && more.length === 0) return [path, location];
  return fail(KIND.USAGE, {
    where: "lqa push",
    expected: "a file and a location on the hub",
    actual: location === undefined ? "no location is given" : `${positionals.length} arguments are given`,
    advice: "See lqa push --help.",
  });
}

/** The card to push: the file that `--card` names, or a new one; none with `--no-card`. */
async function cardOf(
  args: Arguments,
  fileId: string,
  make: () => Promise<string>,
): Promise<string | undefined> {
  if (args.values.has("no-card")) return undefined;
  const given = textOption(args, "card");
  return given === undefined ? await make() : await readCard(given, fileId);
}

/** Reads a card that `lqa card` wrote. Refuses one of another file: each card states the file id. */
async function readCard(path: string, fileId: string): Promise<string> {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(await readRegularFile(path, MOST_CARD));
  if (!text.includes(fileId))
    fail(KIND.USAGE, {
      where: `--card ${printable(path)}`,
      expected: `a card that states the file id ${fileId}`,
      actual: "a card of another file",
      advice: "Run lqa card, of the Python package, on this file.",
    });
  return text;
}

/** The configuration in a directory of the layout; undefined of a file. */
async function configIn(path: string): Promise<Uint8Array | undefined> {
  if (!(await isDirectory(path))) return undefined;
  return await readRegularFile(join(path, CONFIG_FILE), MAX_SIDE_FILE).catch((error: unknown) => {
    if (isLqaError(error, "NOT_FOUND")) return undefined;
    throw error;
  });
}

/** One line of text. */
function heading(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

function lines(plan: PushPlan, dry: boolean, commit: string | undefined, terminal: Terminal): string[] {
  const { target, files, creates, cardKept } = plan;
  const first =
    files.size === 0
      ? "is up to date: nothing to push"
      : `${dry ? "would get" : "got"}${creates ? " a new repository with" : ""} ${counted(files.size, "file")}`;
  return [
    ...title(printable(target.location), first, terminal),
    ...facts(
      [...fileFacts([...files].map(([name, content]) => [name, content.length])), ["commit", commit]],
      terminal,
    ),
    ...(cardKept === "not written by lqa"
      ? note("note", "README.md stays as it is: lqa did not write it. --replace-card replaces it.", terminal)
      : []),
  ];
}
