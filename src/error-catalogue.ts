// Generated from spec/errors.json by spec/generate.mjs. Do not edit.

/** Class letter of an error code, with its name and the exit code a command line tool returns for it. */
export const ERROR_CLASSES = {
  "T": {
    "name": "truncated",
    "exit": 1
  },
  "M": {
    "name": "malformed",
    "exit": 1
  },
  "V": {
    "name": "invalid",
    "exit": 1
  },
  "I": {
    "name": "integrity",
    "exit": 1
  },
  "U": {
    "name": "unsupported",
    "exit": 3
  },
  "L": {
    "name": "limit",
    "exit": 4
  },
  "B": {
    "name": "base-mismatch",
    "exit": 1
  },
  "X": {
    "name": "io",
    "exit": 2
  },
  "C": {
    "name": "non-canonical",
    "exit": 1
  },
  "S": {
    "name": "source",
    "exit": 1
  }
} as const;

/** What the catalogue says about one kind of error. */
export interface ErrorKind {
  /** Its name, which never changes its meaning. */
  readonly kind: ErrorName;
  /** Stable code, e.g. `LQA-M012`. */
  readonly code: string;
  /** Clause of spec/lqa-v1.md, or `-` where the specification has nothing to say. */
  readonly clause: string;
  readonly summary: string;
  /** What to do about it. */
  readonly advice: string;
}

/** Name of an error in the catalogue. */
export type ErrorName =
  | "TRUNCATED_PROLOGUE"
  | "TRUNCATED_FILE"
  | "TRUNCATED_SOURCE"
  | "BAD_MAGIC"
  | "MAGIC_TEXT_DAMAGE"
  | "PROLOGUE_RESERVED_NONZERO"
  | "ALIGNMENT_OUT_OF_RANGE"
  | "FILE_LENGTH_MISMATCH"
  | "TRAILING_BYTES"
  | "INDEX_TABLE"
  | "INDEX_VECTOR"
  | "INDEX_IDENTIFIER"
  | "INDEX_FIELD_MISSING"
  | "COUNT_MISMATCH"
  | "PADDING_NONZERO"
  | "NAME_ENCODING"
  | "NAME_ORDER"
  | "NAME_HEAP"
  | "CHUNK_LENGTH_MISMATCH"
  | "RECORD_RESERVED_NONZERO"
  | "RECORD_REFERENCE"
  | "ZSTD_FRAME"
  | "META_ENCODING"
  | "TRAILER_MISMATCH"
  | "SECTION_ORDER"
  | "DIMENSION_RANGE"
  | "ENCODING_PARAMETER"
  | "MULTIPLIER"
  | "BAND_PLAN"
  | "ROLE_SHAPE"
  | "TENSOR_RECORD"
  | "FEATURE_BITS"
  | "SCALE_VALUE"
  | "NONFINITE_VALUE"
  | "SECTION_RECORD"
  | "PARENT_MISMATCH"
  | "PROLOGUE_CRC"
  | "INDEX_CRC"
  | "CHUNK_CRC"
  | "TRAILER_CRC"
  | "SPAN_DIGEST"
  | "ROOT_DIGEST"
  | "CONTENT_ID"
  | "UNSUPPORTED_VERSION"
  | "UNSUPPORTED_FEATURE"
  | "UNSUPPORTED_CODEC"
  | "UNSUPPORTED_ROLE"
  | "UNSUPPORTED_COMPRESSION"
  | "UNSUPPORTED_SECTION"
  | "UNSUPPORTED_ADAPTER_FEATURE"
  | "UNSUPPORTED_DIALECT"
  | "CANNOT_APPLY"
  | "PARENT_MISSING"
  | "HARD_LIMIT"
  | "CORE_LIMIT"
  | "BUDGET"
  | "BASE_MODULE_MISSING"
  | "BASE_SHAPE"
  | "BASE_WEIGHTS"
  | "IO"
  | "OUTPUT_EXISTS"
  | "NOT_FOUND"
  | "USAGE"
  | "ABORTED"
  | "TARGET_SIZE"
  | "HTTP_RESPONSE"
  | "REMOTE_CHANGED"
  | "NETWORK"
  | "ACTIVATION_SHAPE"
  | "UNKNOWN_ADAPTER"
  | "ADAPTER_IN_USE"
  | "GPU_DEVICE"
  | "GPU_LIMIT"
  | "WRONG_FILE"
  | "ACCESS_DENIED"
  | "MISSING_PACKAGE"
  | "NONCANONICAL_INDEX"
  | "NONCANONICAL_CODES"
  | "NONCANONICAL_NAME"
  | "SOURCE_HEADER"
  | "SOURCE_ELEMENT_TYPE"
  | "SOURCE_NONFINITE"
  | "SOURCE_UNPAIRED_FACTOR"
  | "SOURCE_SHAPE"
  | "SOURCE_CONFIG"
  | "SOURCE_UNKNOWN_TENSOR"
  | "SOURCE_RANGE"
  | "SOURCE_IMPORTANCE"
  | "SOURCE_SHARDS"
  | "UNSAFE_PICKLE";

// Every kind of error that this library raises is a constant of its own: a bundler keeps those that the code kept refers to.

export const TRUNCATED_PROLOGUE = {
  "kind": "TRUNCATED_PROLOGUE",
  "code": "LQA-T001",
  "clause": "5.1",
  "summary": "The file is shorter than the 64-byte prologue.",
  "advice": "Fetch the file again; it was cut off."
} as const;

export const TRUNCATED_FILE = {
  "kind": "TRUNCATED_FILE",
  "code": "LQA-T002",
  "clause": "4.4",
  "summary": "The file ends before the length its prologue declares.",
  "advice": "Fetch the file again; it was cut off."
} as const;

export const TRUNCATED_SOURCE = {
  "kind": "TRUNCATED_SOURCE",
  "code": "LQA-T003",
  "clause": "-",
  "summary": "A source file (safetensors, GGUF, configuration) ends early.",
  "advice": "Fetch the source file again; it was cut off."
} as const;

export const BAD_MAGIC = {
  "kind": "BAD_MAGIC",
  "code": "LQA-M001",
  "clause": "5.1",
  "summary": "The first eight bytes are not the LQA signature.",
  "advice": "Check the path or the address: this is not an .lqa file."
} as const;

export const MAGIC_TEXT_DAMAGE = {
  "kind": "MAGIC_TEXT_DAMAGE",
  "code": "LQA-M002",
  "clause": "5.1",
  "summary": "The signature was altered the way a text-mode transfer alters it.",
  "advice": "Transfer the file in binary mode."
} as const;

export const PROLOGUE_RESERVED_NONZERO = {
  "kind": "PROLOGUE_RESERVED_NONZERO",
  "code": "LQA-M003",
  "clause": "5.1",
  "summary": "A reserved prologue byte is not zero.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const ALIGNMENT_OUT_OF_RANGE = {
  "kind": "ALIGNMENT_OUT_OF_RANGE",
  "code": "LQA-M004",
  "clause": "4.3",
  "summary": "The alignment exponent is outside 2 to 12.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const FILE_LENGTH_MISMATCH = {
  "kind": "FILE_LENGTH_MISMATCH",
  "code": "LQA-M005",
  "clause": "4.2",
  "summary": "The file length in the prologue is not the one its records add up to.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const TRAILING_BYTES = {
  "kind": "TRAILING_BYTES",
  "code": "LQA-M006",
  "clause": "4.4",
  "summary": "Bytes follow the trailer.",
  "advice": "Remove the appended bytes, or fetch the file again."
} as const;

export const INDEX_TABLE = {
  "kind": "INDEX_TABLE",
  "code": "LQA-M007",
  "clause": "6.2",
  "summary": "A FlatBuffers offset, table or vtable of the index lies outside the index or is misaligned.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const INDEX_VECTOR = {
  "kind": "INDEX_VECTOR",
  "code": "LQA-M008",
  "clause": "6.2",
  "summary": "A FlatBuffers vector of the index does not fit into the index.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const INDEX_IDENTIFIER = {
  "kind": "INDEX_IDENTIFIER",
  "code": "LQA-M009",
  "clause": "6.2",
  "summary": "The index does not carry the file identifier LQI1.",
  "advice": "Encode the adapter again with a writer of 1.0."
} as const;

export const INDEX_FIELD_MISSING = {
  "kind": "INDEX_FIELD_MISSING",
  "code": "LQA-M010",
  "clause": "6.2",
  "summary": "A required field of the index is absent.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const COUNT_MISMATCH = {
  "kind": "COUNT_MISMATCH",
  "code": "LQA-M011",
  "clause": "6.3",
  "summary": "A count in the prologue differs from the length of its vector in the index.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const PADDING_NONZERO = {
  "kind": "PADDING_NONZERO",
  "code": "LQA-M012",
  "clause": "3.6",
  "summary": "A padding byte or unused bit is not zero.",
  "advice": "Do not trust this file: its writer has a defect, or it hides data."
} as const;

export const NAME_ENCODING = {
  "kind": "NAME_ENCODING",
  "code": "LQA-M013",
  "clause": "3.3",
  "summary": "A name is not 1 to 512 bytes of valid UTF-8 without control characters.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const NAME_ORDER = {
  "kind": "NAME_ORDER",
  "code": "LQA-M014",
  "clause": "6.7",
  "summary": "Names are not in strictly ascending natural order (or one occurs twice).",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const NAME_HEAP = {
  "kind": "NAME_HEAP",
  "code": "LQA-M015",
  "clause": "6.10",
  "summary": "The front-coded name bytes do not add up.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const CHUNK_LENGTH_MISMATCH = {
  "kind": "CHUNK_LENGTH_MISMATCH",
  "code": "LQA-M016",
  "clause": "7.1",
  "summary": "A chunk length differs from the one its record implies.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const RECORD_RESERVED_NONZERO = {
  "kind": "RECORD_RESERVED_NONZERO",
  "code": "LQA-M017",
  "clause": "6.3",
  "summary": "A reserved field of a record is not zero.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const RECORD_REFERENCE = {
  "kind": "RECORD_REFERENCE",
  "code": "LQA-M018",
  "clause": "6.3",
  "summary": "A record refers to a record that does not exist, or shared records are unused, doubled or out of order.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

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

export const SECTION_ORDER = {
  "kind": "SECTION_ORDER",
  "code": "LQA-M022",
  "clause": "6.9",
  "summary": "Section types are not strictly ascending.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const DIMENSION_RANGE = {
  "kind": "DIMENSION_RANGE",
  "code": "LQA-V001",
  "clause": "6.6",
  "summary": "A size or the expert count of a module is zero.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const ENCODING_PARAMETER = {
  "kind": "ENCODING_PARAMETER",
  "code": "LQA-V002",
  "clause": "6.4",
  "summary": "An encoding has a parameter its codec does not allow.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const MULTIPLIER = {
  "kind": "MULTIPLIER",
  "code": "LQA-V003",
  "clause": "9.1",
  "summary": "The multiplier is not finite, or does not follow from its own alpha and rule.",
  "advice": "Do not use this file: its scale is in doubt. Encode the adapter again."
} as const;

export const BAND_PLAN = {
  "kind": "BAND_PLAN",
  "code": "LQA-V004",
  "clause": "6.5",
  "summary": "A band plan is empty, has an empty band, or two neighbours that should be one.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const ROLE_SHAPE = {
  "kind": "ROLE_SHAPE",
  "code": "LQA-V005",
  "clause": "6.6",
  "summary": "The shape of a module contradicts its role.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const TENSOR_RECORD = {
  "kind": "TENSOR_RECORD",
  "code": "LQA-V006",
  "clause": "9.4",
  "summary": "A plain tensor's shape, element type, axis or companion contradicts its role.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const FEATURE_BITS = {
  "kind": "FEATURE_BITS",
  "code": "LQA-V007",
  "clause": "5.3",
  "summary": "The feature bits are not the ones the file uses.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const SCALE_VALUE = {
  "kind": "SCALE_VALUE",
  "code": "LQA-V008",
  "clause": "8.1",
  "summary": "A scale is negative, minus zero, infinite, NaN, or so large that a weight overflows.",
  "advice": "Do not use this file. Encode the adapter again."
} as const;

export const NONFINITE_VALUE = {
  "kind": "NONFINITE_VALUE",
  "code": "LQA-V009",
  "clause": "8.3",
  "summary": "A raw value or an element of a plain tensor is Inf or NaN.",
  "advice": "Do not use this file. Encode the adapter again."
} as const;

export const SECTION_RECORD = {
  "kind": "SECTION_RECORD",
  "code": "LQA-V011",
  "clause": "6.9",
  "summary": "A section's tag, critical flag or compression breaks the rules for sections.",
  "advice": "The program that wrote this file has a defect: report it there."
} as const;

export const PARENT_MISMATCH = {
  "kind": "PARENT_MISMATCH",
  "code": "LQA-V012",
  "clause": "8.9",
  "summary": "The file given as the parent is another one, or has no such modules.",
  "advice": "Give the file whose content id the child names; `lqa inspect` shows the content id of a file."
} as const;

export const PROLOGUE_CRC = {
  "kind": "PROLOGUE_CRC",
  "code": "LQA-I001",
  "clause": "5.1",
  "summary": "The prologue does not match its own CRC-32.",
  "advice": "The file was damaged; fetch it again."
} as const;

export const INDEX_CRC = {
  "kind": "INDEX_CRC",
  "code": "LQA-I002",
  "clause": "6.2",
  "summary": "The index does not match its CRC-32.",
  "advice": "The file was damaged; fetch it again."
} as const;

export const CHUNK_CRC = {
  "kind": "CHUNK_CRC",
  "code": "LQA-I003",
  "clause": "7.1",
  "summary": "A chunk does not match its CRC-32.",
  "advice": "The file was damaged; fetch it again."
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

export const UNSUPPORTED_VERSION = {
  "kind": "UNSUPPORTED_VERSION",
  "code": "LQA-U001",
  "clause": "5.2",
  "summary": "The file has a major version this reader does not know.",
  "advice": "Update the program that reads it."
} as const;

export const UNSUPPORTED_FEATURE = {
  "kind": "UNSUPPORTED_FEATURE",
  "code": "LQA-U002",
  "clause": "5.3",
  "summary": "The file requires a feature this reader does not know.",
  "advice": "Update the program that reads it."
} as const;

export const UNSUPPORTED_CODEC = {
  "kind": "UNSUPPORTED_CODEC",
  "code": "LQA-U003",
  "clause": "6.4",
  "summary": "A codec, table, rotation or element type that this reader does not know.",
  "advice": "Update the program that reads it."
} as const;

export const UNSUPPORTED_ROLE = {
  "kind": "UNSUPPORTED_ROLE",
  "code": "LQA-U004",
  "clause": "6.6",
  "summary": "A role, base layout or multiplier rule this reader does not know.",
  "advice": "Update the program that reads it."
} as const;

export const UNSUPPORTED_COMPRESSION = {
  "kind": "UNSUPPORTED_COMPRESSION",
  "code": "LQA-U005",
  "clause": "7.5",
  "summary": "A compression this reader does not know or has no implementation for.",
  "advice": "Update the program that reads it, or give it a zstd implementation."
} as const;

export const UNSUPPORTED_SECTION = {
  "kind": "UNSUPPORTED_SECTION",
  "code": "LQA-U006",
  "clause": "10.1",
  "summary": "A critical section this reader does not know.",
  "advice": "Update the program that reads it."
} as const;

export const UNSUPPORTED_ADAPTER_FEATURE = {
  "kind": "UNSUPPORTED_ADAPTER_FEATURE",
  "code": "LQA-U007",
  "clause": "-",
  "summary": "The source adapter uses something this version of the format cannot express.",
  "advice": "Keep this adapter in its source format."
} as const;

export const UNSUPPORTED_DIALECT = {
  "kind": "UNSUPPORTED_DIALECT",
  "code": "LQA-U008",
  "clause": "-",
  "summary": "The source is not in a dialect this version reads, or the target dialect cannot say what the file holds.",
  "advice": "Convert the adapter to a PEFT directory first."
} as const;

export const CANNOT_APPLY = {
  "kind": "CANNOT_APPLY",
  "code": "LQA-U009",
  "clause": "-",
  "summary": "The adapter changes its base in a way that packed application does not cover.",
  "advice": "Decode it and let the model's runtime apply it."
} as const;

export const PARENT_MISSING = {
  "kind": "PARENT_MISSING",
  "code": "LQA-U010",
  "clause": "8.9",
  "summary": "The file holds what differs from a parent, and the parent was not given.",
  "advice": "Give the parent: `--parent FILE`, or the option `parents`."
} as const;

export const HARD_LIMIT = {
  "kind": "HARD_LIMIT",
  "code": "LQA-L001",
  "clause": "14",
  "summary": "A quantity is above the Hard limit of the specification.",
  "advice": "The file is not valid LQA; do not raise a limit for it."
} as const;

export const CORE_LIMIT = {
  "kind": "CORE_LIMIT",
  "code": "LQA-L002",
  "clause": "14",
  "summary": "A quantity is above the limit this reader accepts.",
  "advice": "Raise the reader's limit if you trust the file."
} as const;

export const BUDGET = {
  "kind": "BUDGET",
  "code": "LQA-L003",
  "clause": "14",
  "summary": "The operation would need more memory or work than the caller allows.",
  "advice": "Raise the memory budget, or decode fewer modules at a time."
} as const;

export const BASE_MODULE_MISSING = {
  "kind": "BASE_MODULE_MISSING",
  "code": "LQA-B001",
  "clause": "9.5",
  "summary": "The base model has no module of a name the adapter adapts.",
  "advice": "Use the base model the adapter was trained on."
} as const;

export const BASE_SHAPE = {
  "kind": "BASE_SHAPE",
  "code": "LQA-B002",
  "clause": "9.5",
  "summary": "A module of the base model has another shape than the adapter expects.",
  "advice": "Use the base model the adapter was trained on."
} as const;

export const BASE_WEIGHTS = {
  "kind": "BASE_WEIGHTS",
  "code": "LQA-B003",
  "clause": "10.6",
  "summary": "The base model has the expected shapes, but not the weights the adapter was made for.",
  "advice": "Use the base model, the revision and the element type that META names, or allow any base if you know that this one will do."
} as const;

export const IO = {
  "kind": "IO",
  "code": "LQA-X001",
  "clause": "-",
  "summary": "The operating system reported an error.",
  "advice": "Remove the cause that the operating system names, then try again."
} as const;

export const OUTPUT_EXISTS = {
  "kind": "OUTPUT_EXISTS",
  "code": "LQA-X002",
  "clause": "-",
  "summary": "The output exists already.",
  "advice": "Choose another name, or give --force to replace it."
} as const;

export const NOT_FOUND = {
  "kind": "NOT_FOUND",
  "code": "LQA-X003",
  "clause": "-",
  "summary": "An input does not exist.",
  "advice": "Check the spelling of the path, and the directory that you are in."
} as const;

export const USAGE = {
  "kind": "USAGE",
  "code": "LQA-X004",
  "clause": "-",
  "summary": "The command line or a call is wrong.",
  "advice": "See --help."
} as const;

export const ABORTED = {
  "kind": "ABORTED",
  "code": "LQA-X005",
  "clause": "-",
  "summary": "The caller aborted the operation.",
  "advice": "Nothing was written; start again if needed."
} as const;

export const TARGET_SIZE = {
  "kind": "TARGET_SIZE",
  "code": "LQA-X006",
  "clause": "-",
  "summary": "An array given to decode into has the wrong length or type.",
  "advice": "Allocate it with the length in the message."
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

export const ACTIVATION_SHAPE = {
  "kind": "ACTIVATION_SHAPE",
  "code": "LQA-X010",
  "clause": "-",
  "summary": "Activations do not fit the module that is applied to them.",
  "advice": "Give rows of the module's input and output length, as in the message."
} as const;

export const UNKNOWN_ADAPTER = {
  "kind": "UNKNOWN_ADAPTER",
  "code": "LQA-X011",
  "clause": "-",
  "summary": "The pool has no adapter of that name.",
  "advice": "Check the name: the adapter may have been removed. If so, add it again."
} as const;

export const ADAPTER_IN_USE = {
  "kind": "ADAPTER_IN_USE",
  "code": "LQA-X012",
  "clause": "-",
  "summary": "The adapter is in use, and was to be removed only if it is not.",
  "advice": "Wait until its leases are released, or remove it without that condition."
} as const;

export const GPU_DEVICE = {
  "kind": "GPU_DEVICE",
  "code": "LQA-X013",
  "clause": "-",
  "summary": "The GPU device was lost, or refused a request.",
  "advice": "Request a new device and upload again. If it was not lost, report the message, the browser and the adapter's info."
} as const;

export const GPU_LIMIT = {
  "kind": "GPU_LIMIT",
  "code": "LQA-X014",
  "clause": "-",
  "summary": "A buffer or a dispatch is larger than the GPU device allows.",
  "advice": "Request higher limits (requiredLimits), destroy buffers, or use the CPU."
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

export const MISSING_PACKAGE = {
  "kind": "MISSING_PACKAGE",
  "code": "LQA-X021",
  "clause": "-",
  "summary": "An optional package that this needs is not installed.",
  "advice": "Install it with npm, next to lqa."
} as const;

export const NONCANONICAL_INDEX = {
  "kind": "NONCANONICAL_INDEX",
  "code": "LQA-C001",
  "clause": "12",
  "summary": "The index is not laid out canonically.",
  "advice": "Rewrite the file with lqa."
} as const;

export const NONCANONICAL_CODES = {
  "kind": "NONCANONICAL_CODES",
  "code": "LQA-C002",
  "clause": "12",
  "summary": "Codes that decode alike are not in their canonical form.",
  "advice": "Rewrite the file with lqa."
} as const;

export const NONCANONICAL_NAME = {
  "kind": "NONCANONICAL_NAME",
  "code": "LQA-C003",
  "clause": "12",
  "summary": "A shared name prefix is not the longest possible.",
  "advice": "Rewrite the file with lqa."
} as const;

export const SOURCE_HEADER = {
  "kind": "SOURCE_HEADER",
  "code": "LQA-S001",
  "clause": "-",
  "summary": "The structure of a source file (safetensors, GGUF) breaks the rules of its format.",
  "advice": "Save the file again with the tool it came from."
} as const;

export const SOURCE_ELEMENT_TYPE = {
  "kind": "SOURCE_ELEMENT_TYPE",
  "code": "LQA-S002",
  "clause": "-",
  "summary": "A tensor has an element type that does not fit its use.",
  "advice": "Save the adapter as F32, F16 or BF16."
} as const;

export const SOURCE_NONFINITE = {
  "kind": "SOURCE_NONFINITE",
  "code": "LQA-S003",
  "clause": "-",
  "summary": "A weight is Inf or NaN.",
  "advice": "Train the adapter again: the run diverged, and there is nothing to encode."
} as const;

export const SOURCE_UNPAIRED_FACTOR = {
  "kind": "SOURCE_UNPAIRED_FACTOR",
  "code": "LQA-S004",
  "clause": "-",
  "summary": "A module has an A factor without its B factor, or the reverse.",
  "advice": "Save the adapter again; a tensor is missing."
} as const;

export const SOURCE_SHAPE = {
  "kind": "SOURCE_SHAPE",
  "code": "LQA-S005",
  "clause": "-",
  "summary": "The shapes of a module's factors contradict each other or the configuration.",
  "advice": "Check that the weights belong to this configuration."
} as const;

export const SOURCE_CONFIG = {
  "kind": "SOURCE_CONFIG",
  "code": "LQA-S006",
  "clause": "-",
  "summary": "The adapter's configuration is not valid.",
  "advice": "Correct the configuration file."
} as const;

export const SOURCE_UNKNOWN_TENSOR = {
  "kind": "SOURCE_UNKNOWN_TENSOR",
  "code": "LQA-S007",
  "clause": "-",
  "summary": "A tensor's name says nothing this dialect knows.",
  "advice": "Remove the tensor, or report the dialect so that it can be added."
} as const;

export const SOURCE_RANGE = {
  "kind": "SOURCE_RANGE",
  "code": "LQA-S008",
  "clause": "-",
  "summary": "A weight is too large for the chosen scale type.",
  "advice": "Choose a type with more range (f32 or bf16), or train the adapter with smaller weights."
} as const;

export const SOURCE_IMPORTANCE = {
  "kind": "SOURCE_IMPORTANCE",
  "code": "LQA-S009",
  "clause": "-",
  "summary": "A calibration file has impossible values, or does not fit the adapter.",
  "advice": "Check that the file was made with this adapter and its base model."
} as const;

export const SOURCE_SHARDS = {
  "kind": "SOURCE_SHARDS",
  "code": "LQA-S010",
  "clause": "-",
  "summary": "The index of a sharded model is broken, or does not say what its shards hold.",
  "advice": "Fetch the model again; its files do not belong together."
} as const;

export const UNSAFE_PICKLE = {
  "kind": "UNSAFE_PICKLE",
  "code": "LQA-S013",
  "clause": "-",
  "summary": "A Python pickle asks for more than tensors, which could run code; nothing of it was executed.",
  "advice": "Do not load this file with torch.load either. If you trust its source, save the tensors as safetensors there."
} as const;
