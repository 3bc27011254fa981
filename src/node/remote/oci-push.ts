/**
 * Pushes a file and its model card to an OCI registry, as an artifact in ModelPack's format.
 *
 * The artifact has a layer for the file and one for the card, both uncompressed, a configuration, and a manifest. Nothing in them
 * depends on the time or the machine: equal files and cards give equal digests, and a push of what the tag already names does
 * nothing. A tag of another artifact is replaced only with `force`. Registries cannot compare and replace in one step, so of two
 * concurrent pushes the later one keeps the tag.
 *
 * @module
 */
import { discard, urlOf } from "../../core/io/http-response.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail, isLqaError } from "../../errors.ts";
import { sha256Of } from "./listed-file.ts";
import { type OciLocation, parseOci } from "./location.ts";
import { FILE_PATH, MANIFEST_TYPE, openOci, TITLE } from "./oci.ts";
import { registryFetch, registryOrigin } from "./oci-fetch.ts";
import { pushFetch } from "./push-fetch.ts";
import { CARD, type PushOptions, type PushPlan, type PushTarget, pushPath } from "./push-plan.ts";

const ARTIFACT_TYPE = "application/vnd.cncf.model.manifest.v1+json";
const CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json";
const WEIGHT_TYPE = "application/vnd.cncf.model.weight.v1.raw";
const DOC_TYPE = "application/vnd.cncf.model.doc.v1.raw";

/** A blob to upload. */
interface Blob {
  readonly type: string;
  readonly digest: string;
  readonly bytes: Uint8Array;
}

/** The target of a file in a registry. @throws LqaError USAGE for an invalid location, or one with a digest */
export function ociTarget(path: string, location: string): PushTarget {
  const { registry, name, tag } = placeOf(path, location);
  return {
    name: name.slice(name.lastIndexOf("/") + 1),
    location: `oci://${registry}/${name}:${tag}`,
    address: undefined,
  };
}

/** Plans a push to a registry. @throws LqaError as `openPush` */
export async function openOciPush(
  path: string,
  location: string,
  bytes: Uint8Array,
  card: string | undefined,
  options: PushOptions = {},
): Promise<PushPlan> {
  const place = placeOf(path, location);
  assertNoHubOptions(options);
  const remote = { ...options.remote, signal: options.signal };
  const fetch = registryFetch(place, "pull,push", remote);
  const files = new Map([
    [place.path, bytes],
    ...(card === undefined ? [] : [[CARD, Buffer.from(card)] as const]),
  ]);
  const { blobs, manifest } = artifactOf(place.name, files);
  const existing = await openOci(place, remote, fetch).catch((error: unknown) => {
    if (isLqaError(error, "NOT_FOUND")) return undefined;
    throw error;
  });
  const same = existing?.digest === manifest.digest;
  if (existing !== undefined && !same && options.force !== true)
    fail(KIND.OUTPUT_EXISTS, {
      where: `oci://${place.registry}/${place.name}:${place.tag}`,
      actual: existing.digest,
      advice:
        "Give another tag, or --force to make this tag name the new artifact. The old one keeps its digest.",
    });
  return {
    target: ociTarget(path, location),
    creates: false,
    files: same ? new Map() : files,
    cardKept: same && card !== undefined ? "unchanged" : undefined,
    async push() {
      if (same) return undefined;
      const send = pushFetch({ endpoint: registryOrigin(place), token: undefined }, placed(place), {
        remote: { ...remote, fetch },
        signal: options.signal,
      });
      for (const blob of blobs) await upload(blob, place, send);
      await publish(manifest, place, send);
      return manifest.digest;
    },
  };
}

function placeOf(path: string, location: string): OciLocation {
  const place = parseOci(location);
  if (place.digest !== undefined)
    fail(KIND.USAGE, { where: "location", expected: "a tag", actual: "a digest" });
  return { ...place, path: pushPath(path, place.path) };
}

function assertNoHubOptions({ replaceCard, private: hidden, message }: PushOptions): void {
  if (replaceCard === true || hidden !== undefined || message !== undefined)
    fail(KIND.USAGE, {
      where: "lqa push",
      expected: "no --private, --message and --replace-card with a registry",
      advice:
        "A registry has no commits, and the card is a part of the artifact. Visibility is set in the registry.",
    });
}

/** Blobs and manifest of an artifact. The first file is the adapter, the second its card. */
function artifactOf(
  name: string,
  files: ReadonlyMap<string, Uint8Array>,
): { readonly blobs: readonly Blob[]; readonly manifest: Blob } {
  const layers = [...files].map(([path, bytes]) => ({
    ...blobOf(path === CARD ? DOC_TYPE : WEIGHT_TYPE, bytes),
    annotations: { [FILE_PATH]: path, [TITLE]: path },
  }));
  const config = blobOf(
    CONFIG_TYPE,
    jsonOf({
      descriptor: { name: name.slice(name.lastIndexOf("/") + 1) },
      config: { format: "lqa" },
      modelfs: { type: "layers", diffIds: layers.map(({ digest }) => digest) },
    }),
  );
  const described = ({ type, digest, bytes }: Blob): object => ({
    mediaType: type,
    digest,
    size: bytes.length,
  });
  const manifest = blobOf(
    MANIFEST_TYPE,
    jsonOf({
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      artifactType: ARTIFACT_TYPE,
      config: described(config),
      layers: layers.map((layer) => ({ ...described(layer), annotations: layer.annotations })),
    }),
  );
  return { blobs: [config, ...layers], manifest };
}

function blobOf(type: string, bytes: Uint8Array): Blob {
  return { type, digest: `sha256:${sha256Of(bytes)}`, bytes };
}

function jsonOf(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function placed({ registry, name }: OciLocation): string {
  return `oci://${registry}/${name}`;
}

type Send = typeof globalThis.fetch;

/** Uploads a blob, unless the registry has it. */
async function upload({ digest, bytes }: Blob, place: OciLocation, send: Send): Promise<void> {
  const base = `${registryOrigin(place)}/v2/${place.name}/blobs`;
  const head = await send(`${base}/${digest}`, { method: "HEAD" });
  discard(head);
  if (head.status === 200) return;
  const begun = await send(`${base}/uploads/`, { method: "POST" });
  await assertStatus(begun, 202, place);
  const at = begun.headers.get("location") ?? "";
  const url = urlOf(at, `${base}/uploads/`);
  if (at === "" || url?.origin !== new URL(base).origin)
    fail(KIND.HTTP_RESPONSE, {
      where: placed(place),
      expected: "an upload to the registry itself",
      actual: at === "" ? "no address" : (url?.origin ?? "no address"),
    });
  // Keeps the parameters that the registry put into the address.
  const target = `${url!.href}${url!.search === "" ? "?" : "&"}digest=${encodeURIComponent(digest)}`;
  const headers = { "content-type": "application/octet-stream" };
  const put = await send(target, { method: "PUT", headers, body: bodyOf(bytes) });
  await assertStatus(put, 201, place);
  assertStated(put, digest, place);
}

async function publish({ type, digest, bytes }: Blob, place: OciLocation, send: Send): Promise<void> {
  const url = `${registryOrigin(place)}/v2/${place.name}/manifests/${place.tag}`;
  const put = await send(url, { method: "PUT", headers: { "content-type": type }, body: bodyOf(bytes) });
  await assertStatus(put, 201, place);
  assertStated(put, digest, place);
}

function bodyOf(bytes: Uint8Array): globalThis.Blob {
  return new globalThis.Blob([bytes as Uint8Array<ArrayBuffer>]);
}

/** Checks the digest that the registry says it stored. @throws LqaError HTTP_RESPONSE */
function assertStated({ headers }: Response, digest: string, place: OciLocation): void {
  const stated = headers.get("docker-content-digest");
  if (stated === null || stated === digest) return;
  fail(KIND.HTTP_RESPONSE, {
    where: placed(place),
    expected: `${digest} to be stored`,
    actual: stated.slice(0, 200),
    advice: "The upload was damaged or changed on its way. Push again.",
  });
}

/** @throws LqaError with the registry's reason, for another status */
async function assertStatus(response: Response, expected: number, place: OciLocation): Promise<void> {
  const { status } = response;
  if (status === expected) {
    discard(response);
    return;
  }
  const said = reasonIn(await response.text());
  const actual = `status ${status}${said === "" ? "" : `, ${said}`}`;
  const where = placed(place);
  if (status === 401 || status === 403)
    fail(KIND.ACCESS_DENIED, {
      where,
      actual,
      advice: `Log in with an account that may push to this name: docker login ${place.registry}.`,
    });
  if (status >= 500 || status === 429) fail(KIND.NETWORK, { where, actual });
  fail(KIND.HTTP_RESPONSE, { where, expected: `status ${expected}`, actual });
}

/** The first error in a registry's answer, on one line. */
function reasonIn(text: string): string {
  try {
    const { errors } = JSON.parse(text) as { errors?: readonly { code?: unknown; message?: unknown }[] };
    const { code, message } = errors![0]!;
    return `${code}: ${message}`.replace(/[^\x20-\x7e]/g, " ").slice(0, 300);
  } catch {
    return "";
  }
}
