/**
 * Converts answers of the hub to errors with advice. The hub states the reason for a refusal in the header `X-Error-Code`.
 * Without a token it answers 401 both for a private repository and for one that does not exist.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { isLqaError, LqaError } from "../../errors.ts";
import type { HubSettings } from "./hub-settings.ts";
import type { HubLocation } from "./location.ts";

/** The reason why the hub refused the last request: the values of its headers. */
export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

/** The refusal in an answer of the hub; undefined for an answer that is not a refusal. */
export function refusalOf({ ok, status, headers }: Response): Refusal | undefined {
  if (ok || status < 400) return undefined;
  const text = (name: string): string =>
    (headers.get(name) ?? "").replace(/[^\x20-\x7e]/g, " ").slice(0, 200);
  return { status, code: text("x-error-code"), message: text("x-error-message") };
}

/**
 * The error of a request to the hub, with the reason that the hub stated.
 *
 * @param error what the request threw; an error that the hub did not cause is returned unchanged
 */
export function hubError(
  error: unknown,
  refusal: Refusal | undefined,
  { repo, revision }: HubLocation,
  { endpoint, token }: HubSettings,
): unknown {
  if (!isLqaError(error) || refusal === undefined) return error;
  if (!isLqaError(error, "NOT_FOUND") && !isLqaError(error, "ACCESS_DENIED")) return error;
  const { status, code, message } = refusal;
  const { where } = error;
  const actual = [`status ${status}`, code, message].filter((part) => part !== "").join(", ");
  const page = `${endpoint}/${repo}`;
  const login = token === undefined ? "Set HF_TOKEN to a token" : "Use a token";
  if (code === "GatedRepo" || code === "DisabledRepo")
    return new LqaError(KIND.ACCESS_DENIED, {
      where,
      actual,
      summary: code === "GatedRepo" ? "The repository is gated." : "The hub disabled the repository.",
      advice:
        code === "GatedRepo"
          ? `Accept its conditions at ${page}. ${login} of an account that has access.`
          : `See ${page}.`,
      cause: error,
    });
  if (code === "RevisionNotFound")
    return new LqaError(KIND.NOT_FOUND, {
      where,
      expected: `the revision ${JSON.stringify(revision ?? "main")}`,
      actual,
      advice: `See the branches and commits at ${page}/commits/main.`,
      cause: error,
    });
  if (code === "EntryNotFound")
    return new LqaError(KIND.NOT_FOUND, { where, actual, advice: `See ${page}/tree/main.`, cause: error });
  if (status === 403)
    return new LqaError(KIND.ACCESS_DENIED, {
      where,
      actual,
      advice: `${login} that may read ${repo}.`,
      cause: error,
    });
  return new LqaError(KIND.NOT_FOUND, {
    where,
    expected: "a model repository that you may read",
    actual,
    advice: `Check the name. ${login} that may read it, if it is private.`,
    cause: error,
  });
}

/** Converts what the client library threw during a push. */
export function commitError(error: unknown, where: string, { endpoint, token }: HubSettings): unknown {
  if (isLqaError(error) || !(error instanceof Error)) return error;
  const { statusCode } = error as { statusCode?: number };
  const text = error.message.replace(/[^\x20-\x7e]/g, " ").slice(0, 300);
  const actual = token === undefined ? text : text.replaceAll(token, "…");
  if (statusCode === 401 || statusCode === 403 || statusCode === 404)
    return new LqaError(KIND.ACCESS_DENIED, {
      where,
      actual: `status ${statusCode}, ${actual}`,
      advice: `Use a token that may write to this repository: ${endpoint}/settings/tokens.`,
      cause: error,
    });
  if (statusCode === 409 || statusCode === 412)
    return new LqaError(KIND.REMOTE_CHANGED, {
      where,
      summary: "Somebody pushed to the repository meanwhile.",
      actual,
      advice: "Look at what they pushed, then push again.",
      cause: error,
    });
  if (statusCode !== undefined && (statusCode >= 500 || statusCode === 429))
    return new LqaError(KIND.NETWORK, { where, actual: `status ${statusCode}, ${actual}`, cause: error });
  return new LqaError(KIND.HTTP_RESPONSE, { where, actual, cause: error });
}
