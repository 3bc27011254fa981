/**
 * `lqa push`: upload an `.lqa` file and its model card to the Hugging Face hub.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { readRegularFile } from "../../node/files/file.ts";
import { readValidAdapter } from "../../node/read-valid.ts";
import { openPush, pushTarget } from "../../node/remote/hub-push.ts";
import { MOST_CARD, type PushPlan } from "../../node/remote/push-plan.ts";
import { diffAdapters } from "../../report/diff.ts";
import { modelCard } from "../../report/model-card.ts";
import { type Arguments, textOption } from "../command.ts";
import { counted, jsonText, printable } from "../format.ts";
import { facts, note, title } from "../layout.ts";
import { openAdapter } from "../open-adapter.ts";
import { remoteOptions } from "../open-input.ts";
import { parentsOf } from "../parents.ts";
import { sourceSettings } from "../source-options.ts";
import type { Terminal } from "../terminal.ts";
import { fileFacts } from "../written-facts.ts";

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const [path, location, ...more] = args.positionals as readonly [string, string?, ...string[]];
  if (location === undefined || more.length > 0)
    fail(KIND.USAGE, {
      where: "lqa push",
      expected: "a file and a location on the hub",
      actual: counted(args.positionals.length, "argument"),
      advice: "See lqa push --help.",
    });
  const remote = remoteOptions(args);
  const target = await pushTarget(path, location);
  const parents = await parentsOf(args, remote);
  const { bytes, file, adapter, ids } = await readValidAdapter(path, { parents });
  const from = textOption(args, "source");
  const source =
    from === undefined
      ? undefined
      : await openAdapter(from, { ...sourceSettings(args), scaleIfMissing: true }, remote, parents);
  const given = textOption(args, "card");
  const card = args.values.has("no-card")
    ? undefined
    : given !== undefined
      ? await readCard(given, ids.fileId)
      : await modelCard(file, {
          ...target,
          title: heading(textOption(args, "title") ?? target.name),
          fileId: ids.fileId,
          relativeError: source && diffAdapters(source, adapter).relativeError,
        });
  const plan = await openPush(path, location, bytes, card, {
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
    const document = {
      ...plan.target,
      creates: plan.creates,
      files: [...plan.files].map(([name, content]) => ({ name, bytes: content.length })),
      cardKept: plan.cardKept ?? null,
      card: card ?? null,
      commit: commit ?? null,
    };
    terminal.out(jsonText(document));
    return 0;
  }
  terminal.out(`${lines(plan, dry, commit, terminal).join("\n")}\n`);
  if (dry && card !== undefined) terminal.out(`\n${card.split("\n").map(printable).join("\n")}`);
  return 0;
}

/** Reads a card that `lqa card` wrote. Refuses one of another file: each card states the file id. */
async function readCard(path: string, fileId: string): Promise<string> {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(await readRegularFile(path, MOST_CARD));
  if (!text.includes(fileId))
    fail(KIND.USAGE, {
      where: `--card ${printable(path)}`,
      expected: `a card that states the file id ${fileId}`,
      actual: "a card of another file",
      advice: "Run lqa card on this file.",
    });
  return text;
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
