/**
 * Files on servers: read by ranges if a reader needs parts, or whole and compared with the digests that the hub lists.
 *
 * @module
 */
import { createHash } from "node:crypto";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { type HttpOptions, httpSource } from "../../io/http.ts";
import type { TimedOptions } from "../../io/http-ranges.ts";
import type { ByteSource } from "../../io/source.ts";
import { LQA_FILE, WEIGHTS_ENDING } from "../files/adapter-names.ts";
import { MAX_WHOLE_FILE, openFileSource } from "../files/file.ts";
import { type HubRepo, openHub } from "./hub.ts";
import { assertDigest, assertListed, assertSize, type ListedFile } from "./listed-file.ts";
import { isHub, isWeb, nameOfLocation, parseHub } from "./location.ts";

/** A folder on a server, and the file in it that a location names. */
export interface RemoteFolder {
  /** Its name in errors. */
  readonly where: string;
  /** Names of the files in the folder; undefined if the server cannot list them. */
  readonly names: readonly string[] | undefined;
  /** The file that the location names; undefined if it names a folder. */
  readonly file: string | undefined;
  /** Names of the folders in it; empty if the server cannot list them. */
  readonly folders: readonly string[];
  /** Opens a file, by ranges or from the cache. The caller closes it. */
  open(name: string): Promise<RemoteFile>;
  /** Opens a folder in it, of the same commit. @throws LqaError NOT_FOUND */
  folder(name: string): RemoteFolder;
}

/** A file on a server. */
export interface RemoteFile extends ByteSource {
  /** Address without its query, or `hf://owner/name@commit/path`. */
  readonly where: string;
  /** What the server lists about it. */
  readonly listed: ListedFile;
  /** Path of a copy on this machine; undefined if there is none. */
  readonly path: string | undefined;
  close(): Promise<void>;
}

/** Bytes per request for a whole file. A request that breaks off is repeated. */
const STEP = 16 * 2 ** 20;
const LQA = /\.lqa$/i;

/**
 * Opens the folder of a location.
 *
 * @param location `hf://…`, or the address of a file
 * @throws LqaError NOT_FOUND if the repository has no such file or folder; as `openHub`
 */
export async function openRemote(location: string, options: HttpOptions = {}): Promise<RemoteFolder> {
  // All sources of a location share one deadline.
  const timed: TimedOptions = { ...options, begun: performance.now() };
  if (isHub(location)) return await openHubFolder(location, timed);
  // Throws if the location is not an address, or contains a password.
  httpSource(location, options);
  const url = new URL(location);
  const file = url.pathname.slice(url.pathname.lastIndexOf("/") + 1);
  return {
    where: `${url.origin}${url.pathname.slice(0, url.pathname.lastIndexOf("/") + 1)}`,
    names: undefined,
    folders: [],
    file: file === "" ? undefined : file,
    async open(name) {
      // The query belongs to this address only.
      const target = name === file ? url : new URL(encodeURIComponent(name), new URL(".", url));
      const source = httpSource(target, timed);
      return opened(source, { where: source.address, listed: {} });
    },
    folder: (name) =>
      fail(KIND.NOT_FOUND, {
        where: url.origin,
        actual: `folder ${JSON.stringify(name)}, of which there is no list`,
      }),
  };
}

async function openHubFolder(location: string, options: TimedOptions): Promise<RemoteFolder> {
  const place = parseHub(location);
  const repo = await openHub(place, options);
  return folderIn({ ...repo, open: (path) => openHubFile(repo, path) }, place.path, {
    advice: place.path.includes("@")
      ? "The revision comes before the path: hf://owner/name@revision/path."
      : "Give the path of a file or a folder of the repository.",
  });
}

/** The files of one commit or artifact. */
interface Tree {
  readonly where: string;
  readonly files: ReadonlyMap<string, ListedFile>;
  open(path: string): Promise<RemoteFile>;
}

/** A folder of a tree, or the folder of a file. @throws LqaError NOT_FOUND if the path does not exist */
function folderIn(tree: Tree, path: string, { advice }: { readonly advice: string }): RemoteFolder {
  const { where, files } = tree;
  const isFile = files.has(path);
  const folder = isFile ? path.slice(0, path.lastIndexOf("/") + 1) : path === "" ? "" : `${path}/`;
  const names = [...files.keys()]
    .filter((name) => name.startsWith(folder) && !name.slice(folder.length).includes("/"))
    .map((name) => name.slice(folder.length));
  const folders = new Set(
    [...files.keys()]
      .filter((name) => name.startsWith(folder) && name.slice(folder.length).includes("/"))
      .map((name) => name.slice(folder.length, name.indexOf("/", folder.length))),
  );
  if (!isFile && path !== "" && ![...files.keys()].some((name) => name.startsWith(folder)))
    fail(KIND.NOT_FOUND, { where: `${where}/${path}`, actual: listing([...files.keys()]), advice });
  return {
    where: `${where}${folder === "" ? "" : `/${folder.slice(0, -1)}`}`,
    names,
    folders: [...folders],
    file: isFile ? path.slice(folder.length) : undefined,
    open: (name) => tree.open(`${folder}${name}`),
    folder: (name) => folderIn(tree, `${folder}${name}`, { advice }),
  };
}

async function openHubFile(repo: HubRepo, path: string): Promise<RemoteFile> {
  const listed = repo.files.get(path) ?? fail(KIND.NOT_FOUND, { where: `${repo.where}/${path}` });
  const about = { where: `${repo.where}/${path}`, listed };
  const cached = await repo.cached(path);
  if (cached === undefined) return opened(repo.source(path), about);
  const source = await openFileSource(cached);
  if (source.size !== (listed.size ?? source.size)) {
    // The download broke off, or someone changed the file.
    await source.close();
    return opened(repo.source(path), about);
  }
  return {
    ...opened(source, { ...about, listed: {} }),
    listed,
    stable: true,
    path: cached,
    close: () => source.close(),
  };
}

function opened(source: ByteSource, about: Pick<RemoteFile, "where" | "listed">): RemoteFile {
  const { listed, where } = about;
  const hasDigest = listed.sha256 !== undefined || listed.blob !== undefined;
  let compared = false;
  return {
    ...about,
    path: undefined,
    get compared() {
      return compared;
    },
    get size() {
      return source.size ?? about.listed.size;
    },
    async read(offset, length, signal) {
      const bytes = await source.read(offset, length, signal);
      assertSize(source.size, listed, where);
      // A small file comes whole with the first request. A reader of ranges pins what it read then.
      if (hasDigest && offset === 0 && bytes.length === (source.size ?? listed.size)) {
        assertListed(bytes, listed, where);
        compared = true;
      }
      return bytes;
    },
    close: async () => {},
  };
}

/**
 * Opens the `.lqa` file of a location: the file that it names or, in the folder that it names, `adapter_model.lqa` or the only one.
 *
 * @throws LqaError NOT_FOUND if there is none or several; as `openHub`
 */
export async function openRemoteFile(location: string, options: HttpOptions = {}): Promise<RemoteFile> {
  const folder = await openRemote(location, options);
  if (folder.file !== undefined) return await folder.open(folder.file);
  const names = folder.names ?? [];
  const candidates = names.filter((name) => LQA.test(name));
  if (candidates.includes(LQA_FILE)) return await folder.open(LQA_FILE);
  if (candidates.length === 1) return await folder.open(candidates[0]!);
  return fail(KIND.NOT_FOUND, {
    where: folder.where,
    expected: "one .lqa file",
    actual: listing(candidates.length === 0 ? names : candidates),
    advice:
      candidates.length === 0
        ? `Give the path of an .lqa file. If this is an adapter, encode it: lqa encode ${location}.`
        : `Give the path of one: ${location.replace(/\/$/, "")}/${candidates[0]}.`,
  });
}

/** Whether a location names an `.lqa` file, by the file's name, or a folder with one and without other weights. */
export async function isRemoteLqa(location: string, options: HttpOptions = {}): Promise<boolean> {
  if (LQA.test(nameOfLocation(location))) return true;
  if (isWeb(location)) return false;
  const { file, names = [] } = await openRemote(location, options);
  return (
    file === undefined && names.some((name) => LQA.test(name)) && !names.some((n) => WEIGHTS_ENDING.test(n))
  );
}

/**
 * Reads all bytes of a remote file into memory and compares them with what its server lists.
 *
 * @param most largest size; default {@link MAX_WHOLE_FILE}
 * @throws LqaError BUDGET above it; HTTP_RESPONSE for bytes that differ from the list; as the source
 */
export async function readRemote(
  file: RemoteFile,
  {
    most = MAX_WHOLE_FILE,
    signal,
  }: { readonly most?: number; readonly signal?: AbortSignal | undefined } = {},
): Promise<Uint8Array> {
  const { where, listed } = file;
  const tooLarge = (actual: number): never =>
    fail(KIND.BUDGET, { where, expected: `at most ${most} bytes`, actual });
  if ((file.size ?? 0) > most) tooLarge(file.size!);
  const first = await file.read(0, Math.min(STEP, most + 1), signal);
  const size = file.size ?? first.length;
  if (size > most) tooLarge(size);
  assertSize(Math.max(size, first.length), { size: listed.size ?? size }, where);
  let bytes = first;
  if (first.length < size) {
    bytes = new Uint8Array(size);
    bytes.set(first);
    for (let at = first.length; at < size; ) {
      const piece = await file.read(at, Math.min(STEP, size - at), signal);
      if (piece.length === 0) fail(KIND.HTTP_RESPONSE, { where, expected: `${size} bytes`, actual: at });
      bytes.set(piece, at);
      at += piece.length;
    }
  }
  // Bytes of the cache were compared when they were downloaded.
  if (file.path === undefined && file.compared !== true) assertListed(bytes, listed, where);
  return bytes;
}

/**
 * The same file for a reader that goes from the first byte to the last: the read that reaches the end compares the digest with
 * the server's list, and throws HTTP_RESPONSE if they differ.
 */
export function checkedInOrder(file: RemoteFile): RemoteFile {
  const { where, listed, path } = file;
  // Bytes of the cache were compared when they were downloaded.
  if (listed.sha256 === undefined || path !== undefined) return file;
  const hash = createHash("sha256");
  let at = 0;
  return {
    ...file,
    get size() {
      return file.size;
    },
    async read(offset, length, signal) {
      const bytes = await file.read(offset, length, signal);
      if (offset !== at || bytes.length === 0) return bytes;
      hash.update(bytes);
      at += bytes.length;
      if (at === file.size) assertDigest("SHA-256", listed.sha256!, hash.digest("hex"), where);
      return bytes;
    },
  };
}

/** Names as errors show them. */
export function listing(names: readonly string[]): string {
  if (names.length === 0) return "no files";
  const some = names.slice(0, 4).map((name) => JSON.stringify(name));
  return names.length > 4 ? `${some.join(", ")} and ${names.length - 4} more` : some.join(", ");
}
