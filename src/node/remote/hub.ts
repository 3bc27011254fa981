/**
 * A model repository of the Hugging Face hub, at one commit.
 *
 * The revision is resolved to a commit once, and all reads use that commit, so a push between two requests has no effect.
 * One request returns the commit and the list of files with their sizes and digests. Files are read by ranges, or whole and
 * then compared with those digests. Files that the hub's clients have downloaded are read from their cache, which this library
 * never writes.
 *
 * The token goes only to the endpoint. The hub redirects downloads to other hosts; `io/http-response.ts` drops the token
 * there.
 *
 * @module
 */
import { join } from "node:path";
import { decodeUtf8 } from "../../common/bytes.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail, isLqaError } from "../../errors.ts";
import { type HttpOptions, type HttpSource, httpSource } from "../../io/http.ts";
import { isRegularFile, namesIn, readRegularFile } from "../files/file.ts";
import { hubError, type Refusal, refusalOf } from "./hub-errors.ts";
import { type HubSettings, hubSettings } from "./hub-settings.ts";
import { hexOf, type ListedFile, sizeOf, withErrors } from "./listed-file.ts";
import { type HubLocation, isPlainPath } from "./location.ts";

/** A repository at one commit. */
export interface HubRepo {
  /** `hf://owner/name@commit`. */
  readonly where: string;
  readonly commit: string;
  /** Files by path. When offline, only those in the folder of the location, without sizes and digests. */
  readonly files: ReadonlyMap<string, ListedFile>;
  /** Path of the file in the cache; undefined if it is not in the cache. */
  cached(path: string): Promise<string | undefined>;
  /** A file on the hub, by ranges. @throws LqaError NOT_FOUND offline; reads throw as those of `httpSource`, and ACCESS_DENIED */
  source(path: string): HttpSource;
}

/** The largest answer of the API: the list of a repository with 50,000 files has 8 MB. */
const MOST_LIST = 16 * 2 ** 20;
const COMMIT = /^[0-9a-f]{40}$/;

/**
 * Opens a repository.
 *
 * @throws LqaError NOT_FOUND for a repository, revision or file that does not exist or is private; ACCESS_DENIED for a gated one;
 * USAGE for invalid settings; as `httpSource`
 */
export async function openHub(location: HubLocation, options: HttpOptions = {}): Promise<HubRepo> {
  const settings = await hubSettings();
  const folder = join(settings.cache, `models--${location.repo.replace("/", "--")}`);
  const { commit, files } = settings.offline
    ? await cachedList(location, folder)
    : await listOf(location, settings, options);
  const where = `hf://${location.repo}@${commit}`;
  return {
    where,
    commit,
    files,
    async cached(path) {
      const file = join(folder, "snapshots", commit, path);
      return (await isRegularFile(file)) ? file : undefined;
    },
    source(path) {
      if (settings.offline) offline(`${where}/${path}`);
      const escaped = path.split("/").map(encodeURIComponent).join("/");
      const url = `${settings.endpoint}/${location.repo}/resolve/${commit}/${escaped}`;
      return hubSource(url, location, settings, options);
    },
  };
}

/** A source whose errors include the reason that the hub stated. */
function hubSource(
  url: string,
  location: HubLocation,
  settings: HubSettings,
  options: HttpOptions,
): HttpSource {
  const { token } = settings;
  let refusal: Refusal | undefined;
  const send = options.fetch ?? globalThis.fetch;
  const source = httpSource(url, {
    ...options,
    headers: { ...options.headers, ...(token !== undefined && { authorization: `Bearer ${token}` }) },
    fetch: async (...request) => {
      const response = await send(...request);
      refusal = refusalOf(response);
      return response;
    },
  });
  return withErrors(source, (error) => hubError(error, refusal, location, settings));
}

/** Commit and files of a revision. */
async function listOf(
  location: HubLocation,
  settings: HubSettings,
  options: HttpOptions,
): Promise<Pick<HubRepo, "commit" | "files">> {
  const revision = encodeURIComponent(location.revision ?? "main");
  const url = `${settings.endpoint}/api/models/${location.repo}/revision/${revision}?blobs=true`;
  const source = hubSource(url, location, settings, { ...options, wholeBytes: MOST_LIST });
  const bytes = await source.read(0, MOST_LIST);
  const bad = (actual: string): never =>
    fail(KIND.HTTP_RESPONSE, {
      where: source.address,
      expected: "the commit and the files of a model repository",
      actual,
      advice: "Check HF_ENDPOINT: this server does not answer like the hub.",
    });
  let answer: unknown;
  try {
    answer = JSON.parse(decodeUtf8(bytes));
  } catch {
    return bad("no JSON");
  }
  const { sha, siblings } = (answer ?? {}) as { sha?: unknown; siblings?: unknown };
  if (typeof sha !== "string" || !COMMIT.test(sha)) return bad("no commit");
  if (!Array.isArray(siblings)) return bad("no list of files");
  const files = new Map<string, ListedFile>();
  for (const one of siblings as readonly Record<string, unknown>[]) {
    const path = one?.rfilename;
    // Skips names that could lead out of a folder, so that they are never read.
    if (typeof path !== "string" || !isPlainPath(path)) continue;
    const { size, blobId, lfs } = one;
    const { sha256 } = (lfs ?? {}) as { sha256?: unknown };
    files.set(path, {
      size: sizeOf(size),
      sha256: hexOf(sha256, 64),
      // For a large file this is the digest of a pointer to it.
      blob: lfs === undefined || lfs === null ? hexOf(blobId, 40) : undefined,
    });
  }
  return { commit: sha, files };
}

/** The files of a revision that the cache has, in the folder that the location names or is in. */
async function cachedList(
  { repo, revision = "main", path }: HubLocation,
  folder: string,
): Promise<Pick<HubRepo, "commit" | "files">> {
  const commit = COMMIT.test(revision) ? revision : await cachedCommit(folder, revision);
  const where = `hf://${repo}@${revision}`;
  const snapshot = commit === undefined ? undefined : join(folder, "snapshots", commit);
  const names = async (at: string): Promise<string[]> =>
    snapshot === undefined
      ? []
      : (await namesIn(join(snapshot, at)).catch(() => [])).map((n) => prefixed(at, n));
  const parent = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
  const found = [...(await names(parent)), ...(path === "" ? [] : await names(path))];
  if (commit === undefined || found.length === 0) offline(where);
  return { commit: commit!, files: new Map(found.map((name) => [name, {}])) };
}

function prefixed(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`;
}

async function cachedCommit(folder: string, revision: string): Promise<string | undefined> {
  try {
    const bytes = await readRegularFile(join(folder, "refs", revision), 4096);
    const commit = new TextDecoder("latin1").decode(bytes).trim();
    return COMMIT.test(commit) ? commit : undefined;
  } catch (error) {
    if (isLqaError(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}

function offline(where: string): never {
  return fail(KIND.NOT_FOUND, {
    where,
    expected: "a file in the cache of the hub, because HF_HUB_OFFLINE is set",
    advice: "Unset HF_HUB_OFFLINE, or download it first: hf download.",
  });
}
