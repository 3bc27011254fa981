// Generated from spec/errors.json by spec/generate.mjs. Do not edit.

/**
 * The catalogue for those parts of the reader that load later. Here, kinds that only they raise are constants of their own,
 * because a bundler that splits loads every constant of `error-catalogue.ts` with `open`.
 */
export * from "./error-catalogue.ts";

export const ZSTD_FRAME = {
  "kind": "ZSTD_FRAME",
  "code": "LQA-M019",
  "clause": "7.5",
  "summary": "A zstd payload is not the sequence of frames that its raw length demands.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const META_ENCODING = {
  "kind": "META_ENCODING",
  "code": "LQA-M020",
  "clause": "10.2",
  "summary": "A MessagePack section is not in the canonical subset.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const TRAILER_MISMATCH = {
  "kind": "TRAILER_MISMATCH",
  "code": "LQA-M021",
  "clause": "11.4",
  "summary": "A trailer field contradicts the prologue.",
  "advice": "The file was damaged or assembled from two; fetch it again."
} as const;

export const TENSOR_RECORD = {
  "kind": "TENSOR_RECORD",
  "code": "LQA-V006",
  "clause": "9.4",
  "summary": "A plain tensor's shape, element type, axis or companion contradicts its role.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const PARENT_MISMATCH = {
  "kind": "PARENT_MISMATCH",
  "code": "LQA-V012",
  "clause": "8.9",
  "summary": "The file given as the parent is another one, or has no such modules.",
  "advice": "Give the file whose content id the child names; `lqa inspect` shows the content id of a file."
} as const;

export const TRAILER_CRC = {
  "kind": "TRAILER_CRC",
  "code": "LQA-I004",
  "clause": "11.4",
  "summary": "The trailer does not match its own CRC-32.",
  "advice": "The file was damaged; fetch it again."
} as const;

export const SPAN_DIGEST = {
  "kind": "SPAN_DIGEST",
  "code": "LQA-I005",
  "clause": "11.1",
  "summary": "A SHA-256 digest does not match the chunks it covers.",
  "advice": "The file was changed after it was written; fetch it again from a source you trust."
} as const;

export const ROOT_DIGEST = {
  "kind": "ROOT_DIGEST",
  "code": "LQA-I006",
  "clause": "11.2",
  "summary": "The root digest does not match prologue, index and digests.",
  "advice": "The file was changed after it was written; fetch it again from a source you trust."
} as const;

export const CONTENT_ID = {
  "kind": "CONTENT_ID",
  "code": "LQA-I007",
  "clause": "11.3",
  "summary": "The stored content id is not the one of the content.",
  "advice": "The file was changed after it was written; fetch it again from a source you trust."
} as const;

export const NOT_FOUND = {
  "kind": "NOT_FOUND",
  "code": "LQA-X003",
  "clause": "-",
  "summary": "An input does not exist.",
  "advice": "Check the spelling of the path, and the directory that you are in."
} as const;

export const HTTP_RESPONSE = {
  "kind": "HTTP_RESPONSE",
  "code": "LQA-X007",
  "clause": "13.2",
  "summary": "A server answered otherwise than the request demands.",
  "advice": "Check the address, and that the server answers range requests; or download the file."
} as const;

export const REMOTE_CHANGED = {
  "kind": "REMOTE_CHANGED",
  "code": "LQA-X008",
  "clause": "13.2",
  "summary": "A remote file changed between two requests.",
  "advice": "Open it again, and discard what was read before."
} as const;

export const NETWORK = {
  "kind": "NETWORK",
  "code": "LQA-X009",
  "clause": "-",
  "summary": "A server cannot be reached, broke off, or asked to come back later.",
  "advice": "Check the address and the connection, or try again later."
} as const;

export const WRONG_FILE = {
  "kind": "WRONG_FILE",
  "code": "LQA-X015",
  "clause": "11.2",
  "summary": "The file is whole, but it is not the one with the expected file id.",
  "advice": "Do not use it. Check the id, and where the file should come from."
} as const;

export const ACCESS_DENIED = {
  "kind": "ACCESS_DENIED",
  "code": "LQA-X020",
  "clause": "-",
  "summary": "A server refuses the credentials, or there are none.",
  "advice": "Check the credentials and what they allow."
} as const;

export const NONCANONICAL_INDEX = {
  "kind": "NONCANONICAL_INDEX",
  "code": "LQA-C001",
  "clause": "12",
  "summary": "The index is not laid out canonically.",
  "advice": "Rewrite the file with lqa."
} as const;

export const NONCANONICAL_NAME = {
  "kind": "NONCANONICAL_NAME",
  "code": "LQA-C003",
  "clause": "12",
  "summary": "A shared name prefix is not the longest possible.",
  "advice": "Rewrite the file with lqa."
} as const;
