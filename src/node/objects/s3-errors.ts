/**
 * Converts errors of object storage to errors of this library: temporary ones to NETWORK, others to kinds that a person must
 * fix.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { isLqaError, LqaError } from "../../errors.ts";

/** What is missing where no object of a location can be read or written. */
export const BUCKET = "a bucket";
export const REGION = "the region of the object storage";

/** HTTP status of an error of the SDK. */
export function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode;
}

const DENIED =
  /^(AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|CredentialsProviderError|ExpiredToken|InvalidToken|TokenRefreshRequired|AllAccessDisabled|AccountProblem)$/;
const SKEWED = /^(RequestTimeTooSkewed|RequestExpired|RequestInTheFuture)$/;
const BROKEN_OFF = /aborted|ECONNRESET|socket hang up|premature|terminated|ECONNABORTED/i;

/** True if the connection broke off in the middle of a body. */
export function isTruncation(error: unknown): boolean {
  return isLqaError(error, "NETWORK") && BROKEN_OFF.test(String(error.actual));
}

/** Converts what the SDK threw about an object or bucket. */
export function s3Error(cause: unknown, where: string): LqaError {
  if (isLqaError(cause)) return cause;
  const { name, message, code } = cause as { name?: string; message?: string; code?: string };
  const status = statusOf(cause);
  const actual = [status, name, code, message].filter((part) => part !== undefined && part !== "").join(" ");
  if (name === "NoSuchBucket")
    return new LqaError(KIND.NOT_FOUND, {
      where,
      expected: BUCKET,
      actual: "no such bucket",
      advice: "Create the bucket, or check its name and the endpoint.",
      cause,
    });
  if (status === undefined && /^Region (is missing|not accepted)/.test(message ?? ""))
    return new LqaError(KIND.USAGE, {
      where,
      expected: REGION,
      actual: message,
      advice: "Set AWS_REGION; for a service that is not Amazon's set AWS_ENDPOINT_URL.",
      cause,
    });
  if (name === "CredentialsProviderError")
    return new LqaError(KIND.ACCESS_DENIED, {
      where,
      expected: "credentials for the object storage",
      actual: "none",
      advice:
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine or pod a role.",
      cause,
    });
  // The SDK corrects for the difference with the time in the answer, so another attempt can succeed.
  if (SKEWED.test(name ?? ""))
    return new LqaError(KIND.NETWORK, { where, actual, advice: "Set the clock of this machine.", cause });
  if (DENIED.test(name ?? "") || status === 401 || status === 403)
    return new LqaError(KIND.ACCESS_DENIED, { where, actual, cause });
  if (status === 404) return new LqaError(KIND.NOT_FOUND, { where, actual: "no such object", cause });
  if (status === 412) return new LqaError(KIND.REMOTE_CHANGED, { where, cause });
  // Throttling and the service's own faults have a status; without a status there was no answer.
  if (
    status === undefined ||
    status === 200 ||
    status === 206 ||
    status >= 500 ||
    [408, 409, 425, 429].includes(status)
  )
    return new LqaError(KIND.NETWORK, { where, actual, cause });
  return new LqaError(KIND.IO, { where, actual, advice: "See what the storage answered.", cause });
}
