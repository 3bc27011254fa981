/**
 * `lqa sign` and `lqa verify-signature` (spec clause 11.5). That the package model-signing accepts these signatures and the
 * reverse is in test/interop/check_signing.py; here is what must be refused.
 */
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { readSignature, signFile } from "../../src/node/index.ts";
import { lqa, lqaIn } from "../helpers/cli.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

const place = temporaryDirectory();
const path = (name: string): string => join(place, name);
const EXAMPLE = fileURLToPath(new URL("../../spec/example.lqa", import.meta.url));
/** The root digest, at the beginning of the trailer (spec clause 11.4). */
const FILE_ID = readFileSync(EXAMPLE).subarray(-64, -32).toString("hex");
const SHA256 = createHash("sha256").update(readFileSync(EXAMPLE)).digest("hex");

const pem = { type: "pkcs8", format: "pem" } as const;
const spki = { type: "spki", format: "pem" } as const;
function keys(
  name: string,
  namedCurve: string,
  passphrase?: string,
): { publicKey: string; privateKey: string } {
  const pair = generateKeyPairSync("ec", {
    namedCurve,
    publicKeyEncoding: spki,
    privateKeyEncoding: passphrase === undefined ? pem : { ...pem, cipher: "aes-256-cbc", passphrase },
  });
  writeFileSync(path(`${name}.pem`), pair.privateKey);
  writeFileSync(path(`${name}.pub`), pair.publicKey);
  return pair;
}
const own = keys("own", "prime256v1");
const verifySignature = (file: string, ...words: string[]) =>
  lqa("verify-signature", path(file), "--key", path("own.pub"), ...words);

interface Bundle {
  mediaType: string;
  verificationMaterial: { publicKey: { hint: string } };
  dsseEnvelope: { payload: string; payloadType: string; signatures: { sig: string }[] };
}
/** The bundle of the example with changes. */
function bundle(change: (bundle: Bundle) => void): Uint8Array {
  const parsed: Bundle = JSON.parse(readFileSync(path("a.lqa.sig"), "utf8"));
  change(parsed);
  return Buffer.from(JSON.stringify(parsed));
}
/** A bundle with another statement, signed with the right key. */
function resigned(
  change: (statement: Record<string, never> & { predicate: Record<string, unknown> }) => void,
): Uint8Array {
  return bundle(({ dsseEnvelope }) => {
    const statement = JSON.parse(Buffer.from(dsseEnvelope.payload, "base64").toString());
    change(statement);
    const payload = JSON.stringify(statement);
    const type = dsseEnvelope.payloadType;
    const signed = Buffer.from(`DSSEv1 ${type.length} ${type} ${payload.length} ${payload}`);
    dsseEnvelope.payload = Buffer.from(payload).toString("base64");
    dsseEnvelope.signatures[0]!.sig = sign("sha256", signed, own.privateKey).toString("base64");
  });
}

beforeAll(() => {
  copyFileSync(EXAMPLE, path("a.lqa"));
  expect(lqa("sign", path("a.lqa"), "--key", path("own.pem")).code).toBe(0);
});

describe("a signature", () => {
  it("is next to the file, and verifies also where the file has another name", () => {
    const done = verifySignature("a.lqa", "--json");
    expect(done.code).toBe(0);
    expect(done.json()).toMatchObject({ fileId: FILE_ID, signature: path("a.lqa.sig") });
    copyFileSync(EXAMPLE, path("renamed.lqa"));
    expect(verifySignature("renamed.lqa", "--signature", path("a.lqa.sig")).code).toBe(0);
    const again = lqa("sign", path("a.lqa"), "--key", path("own.pem"));
    expect([again.code, again.err]).toEqual([2, expect.stringContaining("OUTPUT_EXISTS")]);
  });

  it("says the file id to who has only parts of the file", () => {
    expect(readSignature(readFileSync(path("a.lqa.sig")), own.publicKey)).toMatchObject({ fileId: FILE_ID });
  });

  it("is made with each curve of model signing, and with an encrypted key", async () => {
    for (const curve of ["secp384r1", "secp521r1"]) {
      const { publicKey, privateKey } = keys(curve, curve);
      const { bundle } = await signFile(EXAMPLE, privateKey);
      expect(readSignature(bundle, publicKey).fileId).toBe(FILE_ID);
    }
    keys("secret", "prime256v1", "horse");
    const words = ["sign", path("a.lqa"), "--key", path("secret.pem"), "--signature", path("secret.sig")];
    expect(lqa(...words)).toMatchObject({ code: 2, err: expect.stringContaining("passphrase") });
    expect(lqaIn({ env: { LQA_KEY_PASSPHRASE: "horse" } }, ...words).code).toBe(0);
  });

  it("is not made of a broken file, nor with a key of another kind", () => {
    const bytes = readFileSync(EXAMPLE);
    bytes[300]! ^= 1;
    writeFileSync(path("broken.lqa"), bytes);
    const broken = lqa("sign", path("broken.lqa"), "--key", path("own.pem"));
    expect([broken.code, broken.err]).toEqual([1, expect.stringContaining("CHUNK_CRC")]);
    const { privateKey } = generateKeyPairSync("ed25519", {
      publicKeyEncoding: spki,
      privateKeyEncoding: pem,
    });
    writeFileSync(path("ed25519.pem"), privateKey);
    const other = lqa("sign", path("broken.lqa"), "--key", path("ed25519.pem"));
    expect([other.code, other.err]).toEqual([2, expect.stringContaining("P-256, P-384 or P-521")]);
    expect(lqa("sign", path("a.lqa"), "--key", path("a.lqa"), "--signature", path("b.sig")).code).toBe(2);
    expect(listing(place).filter((name) => /^(broken|b)\b.*sig$/.test(name))).toEqual([]);
  });
});

describe("verify-signature refuses, with exit code 1,", () => {
  const refused = (file: string, signature: string, ...words: string[]): string => {
    const done = verifySignature(file, "--signature", path(signature), ...words);
    expect(done.code, done.err).toBe(1);
    expect(done.err).toContain("LQA-I008 SIGNATURE");
    return done.err;
  };

  it("another valid file", () => {
    const other = fileURLToPath(
      new URL("../../conformance/suite/valid/section/meta-empty.lqa", import.meta.url),
    );
    copyFileSync(other, path("other.lqa"));
    expect(refused("other.lqa", "a.lqa.sig")).toContain(`a file of SHA-256 ${SHA256}`);
  });

  it("another key", () => {
    const stranger = keys("stranger", "prime256v1");
    const done = lqa("verify-signature", path("a.lqa"), "--key", path("stranger.pub"));
    expect([done.code, done.err]).toEqual([1, expect.stringContaining("SIGNATURE")]);
    // Nor does it help to name the other key in the bundle, which nobody signed.
    const hint = createHash("sha256").update(stranger.publicKey).digest("hex");
    writeFileSync(
      path("hint.sig"),
      bundle((b) => void (b.verificationMaterial.publicKey.hint = hint)),
    );
    const forged = lqa(
      "verify-signature",
      path("a.lqa"),
      "--key",
      path("stranger.pub"),
      "--signature",
      path("hint.sig"),
    );
    expect([forged.code, forged.err]).toEqual([1, expect.stringContaining("a signature by this key")]);
  });

  it("a signature file that is broken in any way", () => {
    const good = readFileSync(path("a.lqa.sig"));
    const broken: [string, Uint8Array][] = [
      ["empty", new Uint8Array(0)],
      ["cut", good.subarray(0, 500)],
      ["long", Buffer.concat([good, Buffer.alloc(2 ** 20, " ")])],
      ["deep", Buffer.from("[".repeat(100_000))],
      ["type", bundle((b) => void (b.mediaType = "application/json"))],
      ["payload", bundle((b) => void (b.dsseEnvelope.payload = ""))],
      ["payload-type", bundle((b) => void (b.dsseEnvelope.payloadType = "text/plain"))],
      ["none", bundle((b) => void (b.dsseEnvelope.signatures = []))],
      ["two", bundle((b) => void b.dsseEnvelope.signatures.push(b.dsseEnvelope.signatures[0]!))],
      ["zero", bundle((b) => void (b.dsseEnvelope.signatures[0]!.sig = ""))],
      ["number", bundle((b) => void (b.dsseEnvelope.signatures[0] = { sig: 1 as never }))],
    ];
    for (const [name, bytes] of broken)
      expect(() => readSignature(bytes, own.publicKey), name).toThrow(/LQA-I008 SIGNATURE/);
    writeFileSync(path("cut.sig"), good.subarray(0, 500));
    refused("a.lqa", "cut.sig");
  });

  it("a changed byte anywhere in the signed statement or the signature", () => {
    const payload = (at: number): Uint8Array =>
      bundle(({ dsseEnvelope }) => {
        const bytes = Buffer.from(dsseEnvelope.payload, "base64");
        bytes[at % bytes.length]! ^= 1;
        dsseEnvelope.payload = bytes.toString("base64");
      });
    for (let at = 0; at < 700; at += 7)
      expect(() => readSignature(payload(at), own.publicKey), `${at}`).toThrow(/a signature by this key/);
  });

  it("a statement that the key signed and that is not of one file, or of another kind", () => {
    const statements: [string, Uint8Array][] = [
      ["directory", resigned(({ predicate }) => void (predicate.resources as unknown[]).push({}))],
      [
        "name",
        resigned(({ predicate }) => void ((predicate.resources as { name: string }[])[0]!.name = "a.lqa")),
      ],
      [
        "algorithm",
        resigned(
          ({ predicate }) => void ((predicate.resources as { algorithm: string }[])[0]!.algorithm = "blake2"),
        ),
      ],
      [
        "digest",
        resigned(
          ({ predicate }) =>
            void ((predicate.resources as { digest: string }[])[0]!.digest = "ab".repeat(32)),
        ),
      ],
      ["file-id", resigned(({ predicate }) => void (predicate.lqa = { file_id: 5 }))],
      [
        "kind",
        resigned(
          (statement) => void Object.assign(statement, { predicateType: "https://slsa.dev/provenance/v1" }),
        ),
      ],
    ];
    for (const [name, bytes] of statements)
      expect(() => readSignature(bytes, own.publicKey), name).toThrow(/LQA-I008 SIGNATURE/);
    // A file id that differs is found when the file is read.
    writeFileSync(
      path("id.sig"),
      resigned(({ predicate }) => void (predicate.lqa = { file_id: "ab".repeat(32) })),
    );
    expect(refused("a.lqa", "id.sig")).toMatch(/file id/);
    // Without it, it is what model-signing makes.
    writeFileSync(
      path("plain.sig"),
      resigned(({ predicate }) => void delete predicate.lqa),
    );
    expect(verifySignature("a.lqa", "--signature", path("plain.sig")).code).toBe(0);
  });

  it("and has exit code 2 where there is no signature", () => {
    expect(verifySignature("renamed.lqa").err).toContain("NOT_FOUND");
  });
});
