/**
 * Pushes a file and its model card to a repository of the Hugging Face hub, with the hub's client library.
 *
 * Both go into one commit on top of the commit that the plan was made for: if someone pushed meanwhile, the hub refuses. A file
 * with the same name and other bytes is replaced only with `force`. A README.md is replaced only with `replaceCard`, or if this
 * library wrote it and nobody changed it since (its last line has a digest of the rest).
 *
 * The client never sees the token: `push-fetch.ts` adds it to requests to the endpoint. The push does not use Xet uploads,
 * because an adapter has only a few megabytes.
 *
 * @module
 */

import { decodeUtf8 } from "../../common/bytes.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail, isLqaError } from "../../errors.ts";
import type { HttpOptions } from "../../io/http.ts";
import { CONFIG_FILE } from "../files/adapter-names.ts";
import { type HubRepo, openHub } from "./hub.ts";
import { commitError } from "./hub-errors.ts";
import { type HubSettings, hubSettings } from "./hub-settings.ts";
import { blobOf, sha256Of } from "./listed-file.ts";
import { type HubLocation, parseHub } from "./location.ts";
import { optional } from "./optional.ts";
import { pushFetch } from "./push-fetch.ts";
import { CARD, MOST_CARD, type PushOptions, type PushPlan, type PushTarget, pushPath } from "./push-plan.ts";
import { openRemoteFile, readRemote } from "./remote-file.ts";

const MARK = /\n<!-- Written by lqa push; sha256:([0-9a-f]{64}) -->\n$/;

/**
 * The target of a file, and the address from which others download it.
 *
 * @throws LqaError USAGE for an invalid location, or one in a commit rather than a branch
 */
export async function pushTarget(path: string, location: string): Promise<PushTarget> {
  const place = placeOf(path, location);
  const { endpoint } = await hubSettings();
  const { repo, revision } = place;
  const branch = encodeURIComponent(revision ?? "main");
  return {
    name: repo.split("/")[1]!,
    location: `hf://${repo}${revision === undefined ? "" : `@${branch}`}/${place.path}`,
    address: `${endpoint}/${repo}/resolve/${branch}/${place.path.split("/").map(encodeURIComponent).join("/")}`,
  };
}

/**
 * Reads the state of the repository and plans a push.
 *
 * @param path path of the file; its name is used if the location has no path
 * @param location `hf://owner/name[@branch][/path.lqa]`
 * @param bytes contents of the file
 * @param card Markdown; undefined pushes no card
 * @throws LqaError USAGE; OUTPUT_EXISTS for another file with that name, without `force`; ACCESS_DENIED, NETWORK, HTTP_RESPONSE;
 * MISSING_PACKAGE without `@huggingface/hub`; `push` also REMOTE_CHANGED if someone pushed meanwhile
 */
export async function openPush(
  path: string,
  location: string,
  bytes: Uint8Array,
  card: string | undefined,
  options: PushOptions = {},
): Promise<PushPlan> {
  const settings = await hubSettings();
  const place = placeOf(path, location);
  const remote = { ...options.remote, signal: options.signal };
  const repo = await openHub(place, remote).catch((error: unknown) => {
    // To this token, a private repository looks like an absent one. Creating it will tell.
    if (isLqaError(error, "NOT_FOUND") && place.revision === undefined && !settings.offline) return undefined;
    throw error;
  });
  const files = new Map<string, Uint8Array>();
  const contents = new Map([[place.path, bytes]]);
  if (options.config !== undefined) contents.set(place.path.replace(/[^/]*$/, CONFIG_FILE), options.config);
  for (const [path, content] of contents) {
    if (isListed(repo, path, content)) continue;
    if (repo?.files.has(path) && options.force !== true)
      fail(KIND.OUTPUT_EXISTS, {
        where: `${repo.where}/${path}`,
        advice: "Give --force to replace it: the history of the repository keeps the old file.",
      });
    files.set(path, content);
  }
  let cardKept: PushPlan["cardKept"];
  if (card !== undefined) {
    const marked = Buffer.from(markCard(card));
    const ours =
      repo === undefined ||
      !repo.files.has(CARD) ||
      options.replaceCard === true ||
      (await isOurs(place, repo, remote));
    if (isListed(repo, CARD, marked)) cardKept = "unchanged";
    else if (!ours) cardKept = "not written by lqa";
    else files.set(CARD, marked);
  }
  return {
    target: await pushTarget(path, location),
    creates: repo === undefined,
    files,
    cardKept,
    push: async () => (files.size === 0 ? undefined : await commit(place, repo, files, settings, options)),
  };
}

function placeOf(path: string, location: string): HubLocation {
  const place = parseHub(location);
  if (/^[0-9a-f]{40}$/.test(place.revision ?? ""))
    fail(KIND.USAGE, { where: "location", expected: "a branch", actual: "a commit" });
  return { ...place, path: pushPath(path, place.path) };
}

/** Whether the repository has these bytes at this path. */
function isListed(repo: HubRepo | undefined, path: string, bytes: Uint8Array): boolean {
  const listed = repo?.files.get(path);
  if (listed?.sha256 !== undefined) return listed.sha256 === sha256Of(bytes);
  return listed?.blob === blobOf(bytes);
}

function markCard(card: string): string {
  return `${card}\n<!-- Written by lqa push; sha256:${sha256Of(card)} -->\n`;
}

/** Whether the card in the repository is unchanged since this library wrote it. */
async function isOurs(place: HubLocation, repo: HubRepo, remote: HttpOptions): Promise<boolean> {
  const file = await openRemoteFile(`hf://${place.repo}@${repo.commit}/${CARD}`, remote);
  try {
    if ((file.size ?? 0) > MOST_CARD) return false;
    const text = decodeUtf8(await readRemote(file, { most: MOST_CARD }));
    const mark = MARK.exec(text);
    return mark !== null && markCard(text.slice(0, mark.index)) === text;
  } catch (error) {
    // The card is not UTF-8.
    if (!isLqaError(error)) return false;
    throw error;
  } finally {
    await file.close();
  }
}

async function commit(
  { repo, revision, path }: HubLocation,
  seen: HubRepo | undefined,
  files: ReadonlyMap<string, Uint8Array>,
  settings: HubSettings,
  options: PushOptions,
): Promise<string> {
  const where = `hf://${repo}`;
  if (settings.token === undefined)
    fail(KIND.ACCESS_DENIED, {
      where,
      expected: "a token",
      actual: "none",
      advice: "Set HF_TOKEN to a token that may write to the repository, or log in: hf auth login.",
    });
  const client = await optional(["@huggingface/hub"], () => import("@huggingface/hub"));
  const common = {
    repo: { type: "model" as const, name: repo },
    hubUrl: settings.endpoint,
    fetch: pushFetch(settings, where, options),
  };
  try {
    if (seen === undefined)
      await client.createRepo({
        ...common,
        // The fetch above adds the token.
        credentials: { accessToken: "" },
        ...(options.private !== undefined && {
          visibility: options.private ? ("private" as const) : ("public" as const),
        }),
      });
    const made = await client.commit({
      ...common,
      title: options.message ?? `Add ${path}`,
      branch: revision ?? "main",
      ...(seen !== undefined && { parentCommit: seen.commit }),
      operations: [...files].map(([name, content]) => ({
        operation: "addOrUpdate" as const,
        path: name,
        content: new Blob([content as Uint8Array<ArrayBuffer>]),
      })),
      useXet: false,
      ...(options.signal !== undefined && { abortSignal: options.signal }),
    });
    return made?.commit.oid ?? "";
  } catch (error) {
    throw commitError(error, where, settings);
  }
}
