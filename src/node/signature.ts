/**
 * Detached signatures of `.lqa` files (spec clause 11.5; Node only), in the format of OpenSSF model signing: a Sigstore bundle
 * with an in-toto statement in a DSSE envelope, signed with an elliptic-curve key. The statement has the SHA-256 of the file,
 * which the package `model-signing` compares, and the `file_id`, which a reader of ranges can compare without the rest of the
 * file.
 *
 * A signature proves that the owner of a key saw this file. This library does not check whose key it is; `model-signing` handles
 * certificates and keyless signing.
 *
 * @module
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { type JsonObject, type JsonValue, parseJson } from "../adapters/json.ts";
import { validateReader } from "../core/validate/validate.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { LocationOptions } from "./adapter-source.ts";
import { type OpenLqa, openLqa, readBeginning } from "./open-lqa.ts";

const BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PAYLOAD_TYPE = "application/vnd.in-toto+json";
const STATEMENT_TYPE = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE = "https://model_signing/signature/v1.0";
/** The curves of model signing, by OpenSSL's names, with the hash for each. */
const HASHES: ReadonlyMap<string, string> = new Map([
  ["prime256v1", "sha256"],
  ["secp384r1", "sha384"],
  ["secp521r1", "sha512"],
]);
/** The largest bundle. One with a single file has about 1 KiB. */
const MOST_BYTES = 2 ** 20;
const HEX = /^[0-9a-f]{64}$/;

/** What a signature states about a file: lower-case hexadecimal digests. */
export interface SignedFile {
  /** SHA-256 of all its bytes. */
  readonly sha256: string;
  /** Its `file_id` (spec clause 11.2); absent in a signature by another program. */
  readonly fileId?: string | undefined;
}

/** A file with a valid signature. */
export interface VerifiedSignature {
  readonly sha256: string;
  readonly fileId: string;
  /** SHA-256 of the public key in PEM, by which bundles name keys. */
  readonly key: string;
}

/** A bundle, and its name next to the file. */
export interface WrittenSignature {
  readonly bundle: Uint8Array;
  /** The name of the file plus `.sig`. */
  readonly name: string;
  readonly signed: VerifiedSignature;
}

/**
 * Signs a file. It is validated first (level `integrity`), in bounded memory.
 *
 * @param location location of the file, as in `readLocation`
 * @param privateKey key in PEM: P-256, P-384 or P-521
 * @param passphrase passphrase of an encrypted key
 * @throws LqaError the first error of the file; NOT_FOUND, IO; for servers as `openRemoteFile`; USAGE for a key of another kind
 */
export async function signFile(
  location: string,
  privateKey: string | Uint8Array,
  passphrase?: string,
  options: LocationOptions = {},
): Promise<WrittenSignature> {
  const key = keyOf(() => createPrivateKey({ key: Buffer.from(privateKey), passphrase }));
  const hint = hintOf(createPublicKey(key));
  const file = await openLqa(location, options);
  const { sha256, fileId } = await identify(file).finally(() => file.close());
  const statement = {
    _type: STATEMENT_TYPE,
    subject: [{ name: file.name, digest: { sha256: rootOf(sha256) } }],
    predicateType: PREDICATE_TYPE,
    predicate: {
      serialization: { method: "files", hash_type: "sha256", allow_symlinks: false, ignore_paths: [] },
      resources: [{ name: ".", algorithm: "sha256", digest: sha256 }],
      lqa: { file_id: fileId },
    },
  };
  const payload = Buffer.from(JSON.stringify(statement));
  const bundle = {
    mediaType: BUNDLE_TYPE,
    verificationMaterial: { publicKey: { hint }, tlogEntries: [] },
    dsseEnvelope: {
      payload: payload.toString("base64"),
      payloadType: PAYLOAD_TYPE,
      signatures: [{ sig: sign(hashOf(key), envelope(payload), key).toString("base64"), keyid: "" }],
    },
  };
  return {
    bundle: Buffer.from(`${JSON.stringify(bundle)}\n`),
    name: signatureName(file),
    signed: { sha256, fileId, key: hint },
  };
}

/**
 * Verifies a signature without the file. The result is what the owner of the key signed.
 *
 * @param bundle bundle of {@link signFile}, or of `model_signing sign key` for a single file
 * @param publicKey key in PEM
 * @throws LqaError SIGNATURE if the bundle is broken, not signed with this key, or not about a single file; USAGE for a key of
 *   another kind
 */
export function readSignature(bundle: Uint8Array, publicKey: string | Uint8Array): SignedFile {
  const key = keyOf(() => createPublicKey(Buffer.from(publicKey)));
  if (bundle.length > MOST_BYTES) refuse(`at most ${MOST_BYTES} bytes`, bundle.length);
  const outer = parseJson(bundle, KIND.SIGNATURE, "the signature file");
  same(at(outer, "mediaType"), BUNDLE_TYPE, "mediaType");
  const hint = at(outer, "verificationMaterial", "publicKey", "hint");
  if (hint !== undefined && hint !== "") same(hint, hintOf(key), "key");
  same(at(outer, "dsseEnvelope", "payloadType"), PAYLOAD_TYPE, "payloadType");
  const payload = Buffer.from(text(at(outer, "dsseEnvelope", "payload"), "payload"), "base64");
  const signature = text(at(only(at(outer, "dsseEnvelope", "signatures"), "signature"), "sig"), "sig");
  if (!verify(hashOf(key), envelope(payload), key, Buffer.from(signature, "base64")))
    refuse("a signature by this key", "another one");
  // The owner of the key signed everything that follows.
  const statement = parseJson(payload, KIND.SIGNATURE, "the signed statement");
  same(at(statement, "_type"), STATEMENT_TYPE, "_type");
  same(at(statement, "predicateType"), PREDICATE_TYPE, "predicateType");
  const resource = only(at(statement, "predicate", "resources"), "file");
  same(at(resource, "name"), ".", "name of the file");
  same(at(resource, "algorithm"), "sha256", "algorithm");
  const sha256 = text(at(resource, "digest"), "digest", HEX);
  same(
    at(only(at(statement, "subject"), "subject"), "digest", "sha256"),
    rootOf(sha256),
    "digest of the subject",
  );
  const fileId = at(statement, "predicate", "lqa", "file_id");
  return { sha256, fileId: fileId === undefined ? undefined : text(fileId, "file_id", HEX) };
}

/**
 * Verifies that the owner of a key signed this file: checks the signature, then the file (level `integrity`, in bounded memory),
 * then that both have the same digests.
 *
 * @param location location of the file, as in `readLocation`
 * @param signature location of the bundle; undefined: the file's name plus `.sig`, next to the file
 * @param publicKey key in PEM
 * @throws LqaError as {@link readSignature}; SIGNATURE if it is about another file; the first error of the file; NOT_FOUND, IO;
 *   for servers as `openRemoteFile`
 */
export async function verifyFileSignature(
  location: string,
  signature: string | undefined,
  publicKey: string | Uint8Array,
  options: LocationOptions = {},
): Promise<VerifiedSignature> {
  const file = await openLqa(location, options);
  try {
    const bundle = await (signature === undefined
      ? file.neighbour(signatureName(file), MOST_BYTES + 1)
      : readBeginning(signature, MOST_BYTES + 1, options));
    const signed = readSignature(bundle, publicKey);
    const found = await identify(file);
    if (found.sha256 !== signed.sha256) refuse(`a file of SHA-256 ${signed.sha256}`, found.sha256);
    same(found.fileId, signed.fileId ?? found.fileId, "file id");
    return { ...found, key: hintOf(createPublicKey(Buffer.from(publicKey))) };
  } finally {
    await file.close();
  }
}

function signatureName({ name }: OpenLqa): string {
  return `${name}.sig`;
}

/** Computes the digests of a file and validates it, in one read. */
async function identify({ reader }: OpenLqa): Promise<{ sha256: string; fileId: string }> {
  const hash = createHash("sha256");
  const hashing = {
    get size() {
      return reader.size;
    },
    async read(target: Uint8Array): Promise<number> {
      const length = await reader.read(target);
      hash.update(target.subarray(0, length));
      return length;
    },
  };
  const { error, ids } = await validateReader(hashing, { level: "integrity", warnings: false });
  if (error !== undefined) throw error;
  return { sha256: hash.digest("hex"), fileId: ids!.fileId };
}

/** Model signing's digest of a model: the SHA-256 of the digests of its files. Here there is one file. */
function rootOf(sha256: string): string {
  return createHash("sha256").update(Buffer.from(sha256, "hex")).digest("hex");
}

/** The bytes to sign: DSSE's pre-authentication encoding. */
function envelope(payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

function keyOf(read: () => KeyObject): KeyObject {
  let key: KeyObject;
  try {
    key = read();
  } catch (cause) {
    return fail(KIND.USAGE, {
      where: "the key",
      expected: "a key in PEM, and the passphrase of an encrypted one",
      actual: cause instanceof Error ? cause.message : undefined,
      cause,
    });
  }
  hashOf(key);
  return key;
}

function hashOf({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): string {
  const curve = details?.namedCurve;
  return (
    HASHES.get(curve ?? "") ??
    fail(KIND.USAGE, {
      where: "the key",
      expected: "an elliptic-curve key: P-256, P-384 or P-521",
      actual: curve ?? type,
      advice: "Make one: openssl ecparam -name prime256v1 -genkey -noout -out key.pem",
    })
  );
}

function hintOf(key: KeyObject): string {
  return createHash("sha256")
    .update(key.export({ type: "spki", format: "pem" }))
    .digest("hex");
}

/** The value below these keys; undefined if there is none. */
function at(value: JsonValue, ...keys: readonly string[]): JsonValue | undefined {
  let found: JsonValue | undefined = value;
  for (const key of keys) found = found instanceof Map ? (found as JsonObject).get(key) : undefined;
  return found;
}

function only(value: JsonValue | undefined, what: string): JsonValue {
  const list = Array.isArray(value) ? value : [];
  return list.length === 1 ? list[0]! : refuse(`one ${what}`, list.length);
}

function text(value: JsonValue | undefined, what: string, form = /^/): string {
  return typeof value === "string" && form.test(value) ? value : refuse(`a ${what}`, "none");
}

function same(found: JsonValue | undefined, expected: string, what: string): void {
  if (found !== expected)
    refuse(`${what} ${expected}`, typeof found === "string" ? JSON.stringify(found.slice(0, 80)) : "none");
}

function refuse(expected: string, actual: string | number): never {
  return fail(KIND.SIGNATURE, { expected, actual });
}
