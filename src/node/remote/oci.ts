/**
 * An artifact in an OCI registry, at one digest.
 *
 * A tag is resolved to the digest of its manifest once, and all reads use digests, so a push between two requests has no effect.
 * The manifest lists layers. A layer that is one file, and names it in an annotation, is a file here. The annotations are those
 * of ModelPack (`org.cncf.model.filepath`) and of ORAS (`org.opencontainers.image.title`). Archives are not opened, and addresses
 * in a manifest (`urls`) are not followed.
 *
 * @module
 */
import { type HttpOptions, type HttpSource, httpSource } from "../../core/io/http.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail, isLqaError, LqaError } from "../../errors.ts";
import { decodeUtf8 } from "../../model/bytes.ts";
import { assertDigest, hexOf, type ListedFile, sha256Of, sizeOf, withErrors } from "./listed-file.ts";
import { isPlainPath, type OciLocation } from "./location.ts";
import { registryFetch, registryOrigin } from "./oci-fetch.ts";

export const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
export const FILE_PATH = "org.cncf.model.filepath";
export const TITLE = "org.opencontainers.image.title";

/** Also accepts lists of manifests, to explain what is wrong with them. */
const ACCEPT = [
  MANIFEST_TYPE,
  "application/vnd.docker.distribution.manifest.v2+json",
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
].join(", ");
/** The manifest size that every registry must accept, and for most of them the limit. */
const MOST_MANIFEST = 4 * 2 ** 20;
const ARCHIVE = /\+(?:gzip|zstd)$|^application\/vnd\.(?:cncf|cnai)\.model\..*\.tar$/;

/** An artifact at one digest. */
export interface OciArtifact {
  /** `oci://host/name@digest`. */
  readonly where: string;
  /** Digest of the manifest. */
  readonly digest: string;
  /** Layers that are files, by path. */
  readonly files: ReadonlyMap<string, ListedFile>;
  /** A file, by ranges. Its reads throw as those of `httpSource`. */
  source(path: string): HttpSource;
}

/**
 * Opens an artifact.
 *
 * @param fetch authorized for this artifact; default: one that may pull
 * @throws LqaError NOT_FOUND for an artifact that does not exist; ACCESS_DENIED for one that this machine may not read;
 * HTTP_RESPONSE for an invalid manifest, one with a wrong digest, or one that lists no files; as `httpSource`
 */
export async function openOci(
  place: OciLocation,
  options: HttpOptions = {},
  fetch: typeof globalThis.fetch = registryFetch(place, "pull", options),
): Promise<OciArtifact> {
  const { bytes, stated } = await manifestOf(place, options, fetch);
  const digest = `sha256:${sha256Of(bytes)}`;
  const named = `oci://${place.registry}/${place.name}`;
  const expected = place.digest ?? (stated?.startsWith("sha256:") ? stated : digest);
  assertDigest("the digest", expected, digest, place.digest === undefined ? `${named}:${place.tag}` : named);
  const where = `${named}@${digest}`;
  const files = filesIn(bytes, where);
  return {
    where,
    digest,
    files,
    source(path) {
      const { sha256 } = files.get(path)!;
      return ociSource(`${registryOrigin(place)}/v2/${place.name}/blobs/sha256:${sha256}`, place, {
        ...options,
        fetch,
      });
    },
  };
}

async function manifestOf(
  place: OciLocation,
  options: HttpOptions,
  fetch: typeof globalThis.fetch,
): Promise<{ readonly bytes: Uint8Array; readonly stated: string | undefined }> {
  let stated: string | undefined;
  const url = `${registryOrigin(place)}/v2/${place.name}/manifests/${place.digest ?? place.tag}`;
  const source = ociSource(url, place, {
    ...options,
    headers: { ...options.headers, accept: ACCEPT },
    wholeBytes: MOST_MANIFEST,
    fetch: async (...request) => {
      const response = await fetch(...request);
      stated = response.headers.get("docker-content-digest") ?? undefined;
      return response;
    },
  });
  const bytes = await source.read(0, MOST_MANIFEST);
  if ((source.size ?? 0) > bytes.length)
    fail(KIND.BUDGET, {
      where: source.address,
      expected: `a manifest of at most ${MOST_MANIFEST} bytes`,
      actual: source.size!,
    });
  return { bytes, stated };
}

/** A source whose errors give advice about a registry. */
function ociSource(url: string, place: OciLocation, options: HttpOptions): HttpSource {
  return withErrors(httpSource(url, options), (error) => ociError(error, place));
}

/** The same error, with advice about a registry. */
export function ociError(error: unknown, { registry, name, tag, digest }: OciLocation): unknown {
  if (!isLqaError(error)) return error;
  const { where, actual } = error;
  if (isLqaError(error, "NOT_FOUND"))
    return new LqaError(KIND.NOT_FOUND, {
      where,
      expected: `the artifact ${name}${digest === undefined ? `:${tag}` : `@${digest}`} in ${registry}`,
      actual,
      advice: "Check the name and the tag. Without a tag, lqa looks for the tag latest.",
      cause: error,
    });
  // The fetch has already explained what is wrong with a login.
  if (isLqaError(error, "ACCESS_DENIED") && String(actual).startsWith("status"))
    return new LqaError(KIND.ACCESS_DENIED, {
      where,
      actual,
      advice: `Check the name. If it is private, log in with an account that has access: docker login ${registry}.`,
      cause: error,
    });
  return error;
}

type Json = Readonly<Record<string, unknown>>;

function filesIn(bytes: Uint8Array, where: string): Map<string, ListedFile> {
  const bad = (expected: string, actual: string, advice?: string): never =>
    fail(KIND.HTTP_RESPONSE, { where, expected, actual, ...(advice !== undefined && { advice }) });
  let manifest: Json;
  try {
    manifest = (JSON.parse(decodeUtf8(bytes)) ?? {}) as Json;
  } catch {
    return bad("a manifest", "no JSON");
  }
  const { schemaVersion, manifests, layers } = manifest;
  if (Array.isArray(manifests))
    bad(
      "the manifest of one artifact",
      "a list of manifests",
      "Give the digest of one: oci://host/name@sha256:….",
    );
  if (schemaVersion !== 2 || !Array.isArray(layers)) return bad("a manifest with layers", "none");
  const files = new Map<string, ListedFile>();
  const types = new Set<string>();
  for (const layer of layers as readonly (Json | null)[]) {
    const { mediaType, digest, size, annotations } = layer ?? {};
    const type = typeof mediaType === "string" ? mediaType.slice(0, 100) : "no type";
    types.add(type);
    const { [FILE_PATH]: first, [TITLE]: second } = (annotations ?? {}) as Json;
    const path = first ?? second;
    if (ARCHIVE.test(type) || typeof path !== "string") continue;
    const sha256 =
      typeof digest === "string" && digest.startsWith("sha256:") ? hexOf(digest.slice(7), 64) : undefined;
    // Skips names that could lead out of a folder, so that they are never read.
    if (!isPlainPath(path)) continue;
    if (sha256 === undefined || sizeOf(size) === undefined)
      bad("layers with a size and a SHA-256 digest", JSON.stringify(path));
    if (files.has(path)) bad("one layer for each path", `two for ${JSON.stringify(path)}`);
    files.set(path, { size: sizeOf(size), sha256 });
  }
  if (files.size === 0)
    bad(
      "layers that are files, with the annotation org.cncf.model.filepath",
      `layers of the types ${[...types].slice(0, 4).join(", ") || "none"}`,
      "Archives are not opened: pull the artifact with the tool that made it, and give the path of a file.",
    );
  return files;
}
