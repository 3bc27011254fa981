/**
 * A bucket in S3-compatible object storage as an object store, by the official SDK.
 *
 * Puts are conditional (`If-None-Match: *`) and carry their SHA-256, which the storage checks and keeps. Temporary failures (no
 * connection, 5xx, throttling, a body that breaks off) are retried with exponential backoff, a bounded number of times.
 * The SDK finds credentials and region as usual: in the environment, configuration files, roles.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { S3Client } from "@aws-sdk/client-s3";
import * as KIND from "../../error-catalogue.ts";
import { assertNotAborted, fail, isLqaError } from "../../errors.ts";
import { optional } from "../remote/optional.ts";
import { pause } from "./concurrent.ts";
import { parseLocation } from "./location.ts";
import { isTruncation, s3Error, statusOf } from "./s3-errors.ts";
import { type ObjectStore, objectPlace } from "./store.ts";

/** Options of the requests to object storage. */
export interface S3Options {
  /** Address of the service. Default: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, or Amazon's. */
  readonly endpoint?: string | undefined;
  /** Default: `AWS_REGION` or `AWS_DEFAULT_REGION`; else us-east-1 with an endpoint, and the SDK's configuration without. */
  readonly region?: string | undefined;
  /** Puts the bucket into the path of the address rather than into its host. Default: true with an endpoint. */
  readonly pathStyle?: boolean | undefined;
  /** Most attempts at a request. Default 6. */
  readonly attempts?: number | undefined;
  /** Silence after which a request fails, ms. Default 30,000. */
  readonly silenceMs?: number | undefined;
}

/** The media type of an `.lqa` file (spec/media-type.md). */
const MEDIA_TYPE = "application/vnd.lqa";
/** The largest object that storage takes in one request, bytes. */
const MOST = 5 * 2 ** 30;
/** Pause before the first retry of a read that broke off, ms; it doubles with each retry. */
const PAUSE = 200;

/** A connection to object storage, for any number of buckets. */
export interface S3Service {
  readonly sdk: typeof import("@aws-sdk/client-s3");
  readonly client: S3Client;
  readonly attempts: number;
}

/** @throws LqaError MISSING_PACKAGE without `@aws-sdk/client-s3` */
export async function openS3(options: S3Options = {}): Promise<S3Service> {
  const sdk = await optional(["@aws-sdk/client-s3"], () => import("@aws-sdk/client-s3"));
  const attempts = options.attempts ?? 6;
  return { sdk, client: clientOf(sdk.S3Client, options, attempts), attempts };
}

/**
 * Opens the store at a location.
 *
 * @param location `s3://bucket/prefix`
 * @throws LqaError USAGE for a location of another form
 */
export function s3Objects(location: string, { sdk, client, attempts }: S3Service): ObjectStore {
  const { bucket, parts } = parseLocation(location);
  const prefix = parts.map((part) => `${part}/`).join("");

  /** Sends a request and converts its errors. */
  async function ask<T>(key: string, signal: AbortSignal | undefined, send: () => Promise<T>): Promise<T> {
    assertNotAborted(signal);
    try {
      return await send();
    } catch (error) {
      assertNotAborted(signal);
      throw s3Error(error, objectPlace(store, key));
    }
  }

  /** As `ask`, but undefined if the object does not exist. */
  async function askFor<T>(
    key: string,
    signal: AbortSignal | undefined,
    send: () => Promise<T>,
  ): Promise<T | undefined> {
    try {
      return await ask(key, signal, send);
    } catch (error) {
      if (isLqaError(error, "NOT_FOUND") && error.expected !== "a bucket") return undefined;
      throw error;
    }
  }

  const of = (key: string): { Bucket: string; Key: string } => ({ Bucket: bucket, Key: `${prefix}${key}` });
  const aborted = (signal: AbortSignal | undefined): { abortSignal?: AbortSignal } =>
    signal === undefined ? {} : { abortSignal: signal };

  const typed = (key: string): { ContentType?: string } =>
    key.endsWith(".lqa") ? { ContentType: MEDIA_TYPE } : {};
  const unlessThere = (replace: boolean): { IfNoneMatch?: string } => (replace ? {} : { IfNoneMatch: "*" });

  async function putWhole(
    key: string,
    bytes: Uint8Array,
    replace: boolean,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (bytes.length > MOST)
      fail(KIND.BUDGET, {
        where: objectPlace(store, key),
        expected: `at most ${MOST} bytes for one object`,
        actual: bytes.length,
      });
    const put = new sdk.PutObjectCommand({
      ...of(key),
      ...typed(key),
      ...bodyOf(bytes),
      ...unlessThere(replace),
    });
    await ask(key, signal, () => client.send(put, aborted(signal)));
  }

  const store: ObjectStore = {
    location,
    async *list({ prefix: within = "", after, signal } = {}) {
      let token: string | undefined;
      do {
        const page = await ask(within, signal, () =>
          client.send(
            new sdk.ListObjectsV2Command({
              Bucket: bucket,
              Prefix: `${prefix}${within}`,
              ...(token === undefined
                ? after !== undefined && { StartAfter: `${prefix}${after}` }
                : { ContinuationToken: token }),
            }),
            aborted(signal),
          ),
        );
        for (const { Key: key = "", Size: size = 0, ETag: version = "" } of page.Contents ?? [])
          if (!key.endsWith("/")) yield { key: key.slice(prefix.length), size, version };
        token = page.IsTruncated ? page.NextContinuationToken : undefined;
      } while (token !== undefined);
    },
    async head(key, signal) {
      const found = await askFor(key, signal, () =>
        client.send(new sdk.HeadObjectCommand(of(key)), aborted(signal)),
      );
      return found && { key, size: found.ContentLength ?? 0, version: found.ETag ?? "" };
    },
    async read(key, { offset, length, version }, signal) {
      if (length === 0) return new Uint8Array(0);
      for (let attempt = 1; ; attempt++) {
        try {
          return await askFor(key, signal, async () => {
            const found = await client.send(
              new sdk.GetObjectCommand({
                ...of(key),
                Range: `bytes=${offset}-${offset + length - 1}`,
                ...(version !== undefined && { IfMatch: version }),
              }),
              aborted(signal),
            );
            const announced = found.ContentLength;
            if (announced === undefined || announced > length) {
              // Destroyed unread: a service that ignores the range may send any number of bytes.
              (found.Body as { destroy?: () => void } | undefined)?.destroy?.();
              fail(KIND.HTTP_RESPONSE, {
                where: objectPlace(store, key),
                expected: `at most ${length} bytes for a range`,
                actual: announced ?? "a body without a length",
              });
            }
            const bytes = (await found.Body?.transformToByteArray()) ?? new Uint8Array(0);
            if (bytes.length !== announced) throw new Error("aborted");
            return bytes;
          });
        } catch (error) {
          if (isLqaError(error) && statusOf(error.cause) === 416) return new Uint8Array(0);
          // The SDK has retried failures before the body; only we can retry a body that breaks off.
          if (!isTruncation(error) || attempt >= attempts) throw error;
          await pause(PAUSE * 2 ** (attempt - 1), signal);
        }
      }
    },
    async put(key, bytes, { replace, signal }) {
      try {
        await putWhole(key, bytes, replace, signal);
        return "written";
      } catch (error) {
        if (!replace && isLqaError(error) && statusOf(error.cause) === 412) return "exists";
        throw error;
      }
    },
    async close() {},
  };
  return store;
}

/** A body with its length and its SHA-256, which the storage checks. */
function bodyOf(bytes: Uint8Array): { Body: Uint8Array; ContentLength: number; ChecksumSHA256: string } {
  const ChecksumSHA256 = createHash("sha256").update(bytes).digest("base64");
  return { Body: bytes, ContentLength: bytes.length, ChecksumSHA256 };
}

function clientOf(Client: typeof S3Client, options: S3Options, attempts: number): S3Client {
  const { AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION, AWS_DEFAULT_REGION } = process.env;
  // A variable that is empty counts as absent.
  const endpoint = options.endpoint || AWS_ENDPOINT_URL_S3 || AWS_ENDPOINT_URL || undefined;
  const region = options.region || AWS_REGION || AWS_DEFAULT_REGION || undefined;
  const silence = options.silenceMs ?? 30_000;
  return new Client({
    // Without a region here, the SDK takes the one of its configuration files, which Amazon's own addresses need.
    ...(region !== undefined ? { region } : endpoint !== undefined && { region: "us-east-1" }),
    ...(endpoint !== undefined && { endpoint }),
    forcePathStyle: options.pathStyle ?? endpoint !== undefined,
    maxAttempts: attempts,
    requestHandler: {
      connectionTimeout: Math.min(silence, 10_000),
      socketTimeout: silence,
      requestTimeout: silence,
    },
    // Our requests carry SHA-256; a second checksum of another kind would only cost time.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
  });
}
