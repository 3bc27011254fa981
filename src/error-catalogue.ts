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

/** Every error this library raises: name, stable code, clause of spec/lqa-v1.md, meaning, and what to do. */
export const ERRORS = {
  "TRUNCATED_PROLOGUE": {
    "code": "LQA-T001",
    "clause": "5.1",
    "summary": "The file is shorter than the 64-byte prologue.",
    "advice": "Fetch the file again; it was cut off."
  },
  "TRUNCATED_FILE": {
    "code": "LQA-T002",
    "clause": "4.4",
    "summary": "The file ends before the length its prologue declares.",
    "advice": "Fetch the file again; it was cut off."
  },
  "TRUNCATED_SOURCE": {
    "code": "LQA-T003",
    "clause": "-",
    "summary": "A source file (safetensors, GGUF, configuration) ends early.",
    "advice": "Fetch the source file again; it was cut off."
  },
  "BAD_MAGIC": {
    "code": "LQA-M001",
    "clause": "5.1",
    "summary": "The first eight bytes are not the LQA signature.",
    "advice": "This is not an .lqa file."
  },
  "MAGIC_TEXT_DAMAGE": {
    "code": "LQA-M002",
    "clause": "5.1",
    "summary": "The signature was altered the way a text-mode transfer alters it.",
    "advice": "Transfer the file in binary mode."
  },
  "PROLOGUE_RESERVED_NONZERO": {
    "code": "LQA-M003",
    "clause": "5.1",
    "summary": "A reserved prologue byte is not zero.",
    "advice": "The writer of this file is broken; report it there."
  },
  "ALIGNMENT_OUT_OF_RANGE": {
    "code": "LQA-M004",
    "clause": "5.1",
    "summary": "The alignment exponent is outside 2 to 12.",
    "advice": "The writer of this file is broken; report it there."
  },
  "FILE_LENGTH_MISMATCH": {
    "code": "LQA-M005",
    "clause": "4.2",
    "summary": "The file length in the prologue is not the one its records add up to.",
    "advice": "The writer of this file is broken; report it there."
  },
  "TRAILING_BYTES": {
    "code": "LQA-M006",
    "clause": "4.4",
    "summary": "Bytes follow the trailer.",
    "advice": "Remove whatever was appended, or fetch the file again."
  },
  "INDEX_TABLE": {
    "code": "LQA-M007",
    "clause": "6.2",
    "summary": "A FlatBuffers offset, table or vtable of the index lies outside the index or is misaligned.",
    "advice": "The writer of this file is broken; report it there."
  },
  "INDEX_VECTOR": {
    "code": "LQA-M008",
    "clause": "6.2",
    "summary": "A FlatBuffers vector of the index does not fit into the index.",
    "advice": "The writer of this file is broken; report it there."
  },
  "INDEX_IDENTIFIER": {
    "code": "LQA-M009",
    "clause": "6.1",
    "summary": "The index does not carry the file identifier LQA1.",
    "advice": "The writer of this file is broken; report it there."
  },
  "INDEX_FIELD_MISSING": {
    "code": "LQA-M010",
    "clause": "6.2",
    "summary": "A required field of the index is absent.",
    "advice": "The writer of this file is broken; report it there."
  },
  "COUNT_MISMATCH": {
    "code": "LQA-M011",
    "clause": "6.3",
    "summary": "A count in the prologue differs from the length of its vector in the index.",
    "advice": "The writer of this file is broken; report it there."
  },
  "PADDING_NONZERO": {
    "code": "LQA-M012",
    "clause": "3.6",
    "summary": "A padding byte or unused bit is not zero.",
    "advice": "The writer of this file is broken, or it hides data; do not trust it."
  },
  "NAME_ENCODING": {
    "code": "LQA-M013",
    "clause": "3.3",
    "summary": "A name is not 1 to 512 bytes of valid UTF-8 without control characters.",
    "advice": "The writer of this file is broken; report it there."
  },
  "NAME_ORDER": {
    "code": "LQA-M014",
    "clause": "3.3",
    "summary": "Names are not in strictly ascending natural order (or one occurs twice).",
    "advice": "The writer of this file is broken; report it there."
  },
  "NAME_HEAP": {
    "code": "LQA-M015",
    "clause": "6.10",
    "summary": "The front-coded name bytes do not add up.",
    "advice": "The writer of this file is broken; report it there."
  },
  "CHUNK_LENGTH_MISMATCH": {
    "code": "LQA-M016",
    "clause": "7.1",
    "summary": "A chunk length differs from the one its record implies.",
    "advice": "The writer of this file is broken; report it there."
  },
  "RECORD_RESERVED_NONZERO": {
    "code": "LQA-M017",
    "clause": "6.3",
    "summary": "A reserved field of a record is not zero.",
    "advice": "The writer of this file is broken; report it there."
  },
  "RECORD_REFERENCE": {
    "code": "LQA-M018",
    "clause": "6.3",
    "summary": "A record refers to a record that does not exist, or shared records are unused, doubled or out of order.",
    "advice": "The writer of this file is broken; report it there."
  },
  "ZSTD_FRAME": {
    "code": "LQA-M019",
    "clause": "7.5",
    "summary": "A zstd payload is not the sequence of frames that its raw length demands.",
    "advice": "The writer of this file is broken; report it there."
  },
  "META_ENCODING": {
    "code": "LQA-M020",
    "clause": "10.2",
    "summary": "A MessagePack section is not in the canonical subset.",
    "advice": "The writer of this file is broken; report it there."
  },
  "TRAILER_MISMATCH": {
    "code": "LQA-M021",
    "clause": "11.4",
    "summary": "A trailer field contradicts the prologue.",
    "advice": "The file was damaged or assembled from two; fetch it again."
  },
  "SECTION_ORDER": {
    "code": "LQA-M022",
    "clause": "10.1",
    "summary": "Section types are not strictly ascending.",
    "advice": "The writer of this file is broken; report it there."
  },
  "DIMENSION_RANGE": {
    "code": "LQA-V001",
    "clause": "14",
    "summary": "A size, group count or expert count of a module is zero.",
    "advice": "The writer of this file is broken; report it there."
  },
  "ENCODING_PARAMETER": {
    "code": "LQA-V002",
    "clause": "6.4",
    "summary": "An encoding has a parameter its codec does not allow.",
    "advice": "The writer of this file is broken; report it there."
  },
  "MULTIPLIER": {
    "code": "LQA-V003",
    "clause": "9.1",
    "summary": "The multiplier is not finite, or does not follow from its own alpha and rule.",
    "advice": "Do not use this file: its scale is in doubt. Encode the adapter again."
  },
  "BAND_PLAN": {
    "code": "LQA-V004",
    "clause": "6.5",
    "summary": "A band plan is empty, has an empty band, or two neighbours that should be one.",
    "advice": "The writer of this file is broken; report it there."
  },
  "ROLE_SHAPE": {
    "code": "LQA-V005",
    "clause": "9.2",
    "summary": "The shape of a module contradicts its role.",
    "advice": "The writer of this file is broken; report it there."
  },
  "TENSOR_RECORD": {
    "code": "LQA-V006",
    "clause": "9.4",
    "summary": "A plain tensor's shape, element type, axis or companion contradicts its role.",
    "advice": "The writer of this file is broken; report it there."
  },
  "FEATURE_BITS": {
    "code": "LQA-V007",
    "clause": "5.3",
    "summary": "The feature bits are not the ones the file uses.",
    "advice": "The writer of this file is broken; report it there."
  },
  "SCALE_VALUE": {
    "code": "LQA-V008",
    "clause": "8.1",
    "summary": "A scale is negative, minus zero, infinite, NaN, or so large that a weight overflows.",
    "advice": "Do not use this file. Encode the adapter again."
  },
  "NONFINITE_VALUE": {
    "code": "LQA-V009",
    "clause": "8.3",
    "summary": "A raw value is Inf or NaN although the file does not declare such values.",
    "advice": "Do not use this file. Encode the adapter again."
  },
  "SECTION_RECORD": {
    "code": "LQA-V011",
    "clause": "6.9",
    "summary": "A section's tag, critical flag or compression breaks the rules for sections.",
    "advice": "The writer of this file is broken; report it there."
  },
  "PROLOGUE_CRC": {
    "code": "LQA-I001",
    "clause": "5.1",
    "summary": "The prologue does not match its own CRC-32.",
    "advice": "The file was damaged; fetch it again."
  },
  "INDEX_CRC": {
    "code": "LQA-I002",
    "clause": "6.2",
    "summary": "The index does not match its CRC-32.",
    "advice": "The file was damaged; fetch it again."
  },
  "CHUNK_CRC": {
    "code": "LQA-I003",
    "clause": "7.1",
    "summary": "A chunk does not match its CRC-32.",
    "advice": "The file was damaged; fetch it again."
  },
  "TRAILER_CRC": {
    "code": "LQA-I004",
    "clause": "11.4",
    "summary": "The trailer does not match its own CRC-32.",
    "advice": "The file was damaged; fetch it again."
  },
  "SPAN_DIGEST": {
    "code": "LQA-I005",
    "clause": "11.1",
    "summary": "A SHA-256 digest does not match the chunks it covers.",
    "advice": "The file was changed after it was written; fetch it again from a source you trust."
  },
  "ROOT_DIGEST": {
    "code": "LQA-I006",
    "clause": "11.2",
    "summary": "The root digest does not match prologue, index and digests.",
    "advice": "The file was changed after it was written; fetch it again from a source you trust."
  },
  "CONTENT_ID": {
    "code": "LQA-I007",
    "clause": "11.3",
    "summary": "The stored content id is not the one of the content.",
    "advice": "The file was changed after it was written; fetch it again from a source you trust."
  },
  "UNSUPPORTED_VERSION": {
    "code": "LQA-U001",
    "clause": "5.2",
    "summary": "The file has a major version this reader does not know.",
    "advice": "Use a newer reader."
  },
  "UNSUPPORTED_FEATURE": {
    "code": "LQA-U002",
    "clause": "5.3",
    "summary": "The file requires a feature this reader does not know.",
    "advice": "Use a newer reader."
  },
  "UNSUPPORTED_CODEC": {
    "code": "LQA-U003",
    "clause": "6.4",
    "summary": "A codec or table, or the element type of a tensor, that this reader does not know.",
    "advice": "Use a newer reader."
  },
  "UNSUPPORTED_ROLE": {
    "code": "LQA-U004",
    "clause": "9.2",
    "summary": "A module or tensor role this reader does not know.",
    "advice": "Use a newer reader."
  },
  "UNSUPPORTED_COMPRESSION": {
    "code": "LQA-U005",
    "clause": "7.5",
    "summary": "A compression this reader does not know or has no implementation for.",
    "advice": "Use a newer reader, or give it a zstd implementation."
  },
  "UNSUPPORTED_SECTION": {
    "code": "LQA-U006",
    "clause": "10.1",
    "summary": "A critical section this reader does not know.",
    "advice": "Use a newer reader."
  },
  "UNSUPPORTED_ADAPTER_FEATURE": {
    "code": "LQA-U007",
    "clause": "9",
    "summary": "The source adapter uses something this version of the format cannot express.",
    "advice": "Keep this adapter in its source format."
  },
  "UNSUPPORTED_DIALECT": {
    "code": "LQA-U008",
    "clause": "-",
    "summary": "The source is not in a dialect this version reads, or the target dialect cannot say what the file holds.",
    "advice": "Convert the adapter to a PEFT directory first."
  },
  "CANNOT_APPLY": {
    "code": "LQA-U009",
    "clause": "-",
    "summary": "The adapter changes its base in a way that packed application does not cover.",
    "advice": "Decode it and let the model's runtime apply it."
  },
  "HARD_LIMIT": {
    "code": "LQA-L001",
    "clause": "14",
    "summary": "A quantity is above the Hard limit of the specification.",
    "advice": "The file is not valid LQA; do not raise a limit for it."
  },
  "CORE_LIMIT": {
    "code": "LQA-L002",
    "clause": "14",
    "summary": "A quantity is above the limit this reader accepts.",
    "advice": "Raise the reader's limit if you trust the file."
  },
  "BUDGET": {
    "code": "LQA-L003",
    "clause": "14",
    "summary": "The operation would need more memory than the caller allows.",
    "advice": "Raise the memory budget, or decode fewer modules at a time."
  },
  "BASE_MODULE_MISSING": {
    "code": "LQA-B001",
    "clause": "9.5",
    "summary": "The base model has no module of a name the adapter adapts.",
    "advice": "Use the base model the adapter was trained on."
  },
  "BASE_SHAPE": {
    "code": "LQA-B002",
    "clause": "9.5",
    "summary": "A module of the base model has another shape than the adapter expects.",
    "advice": "Use the base model the adapter was trained on."
  },
  "IO": {
    "code": "LQA-X001",
    "clause": "-",
    "summary": "The operating system reported an error.",
    "advice": "See the cause."
  },
  "OUTPUT_EXISTS": {
    "code": "LQA-X002",
    "clause": "-",
    "summary": "The output exists already.",
    "advice": "Give --force to replace it."
  },
  "NOT_FOUND": {
    "code": "LQA-X003",
    "clause": "-",
    "summary": "An input does not exist.",
    "advice": "Check the path."
  },
  "USAGE": {
    "code": "LQA-X004",
    "clause": "-",
    "summary": "The command line or a call is wrong.",
    "advice": "See --help."
  },
  "ABORTED": {
    "code": "LQA-X005",
    "clause": "-",
    "summary": "The caller aborted the operation.",
    "advice": "Nothing was written."
  },
  "TARGET_SIZE": {
    "code": "LQA-X006",
    "clause": "-",
    "summary": "An array given to decode into has the wrong length or type.",
    "advice": "Allocate it with the length in the message."
  },
  "HTTP_RESPONSE": {
    "code": "LQA-X007",
    "clause": "13.2",
    "summary": "A server answered otherwise than the request demands.",
    "advice": "Check the address, and that the server answers range requests; or download the file."
  },
  "REMOTE_CHANGED": {
    "code": "LQA-X008",
    "clause": "13.2",
    "summary": "A remote file changed between two requests.",
    "advice": "Open it again, and discard what was read before."
  },
  "NETWORK": {
    "code": "LQA-X009",
    "clause": "-",
    "summary": "A server cannot be reached, broke off, or asked to come back later.",
    "advice": "Try again later."
  },
  "ACTIVATION_SHAPE": {
    "code": "LQA-X010",
    "clause": "-",
    "summary": "Activations do not fit the module that is applied to them.",
    "advice": "Give rows of the module's input and output length, as in the message."
  },
  "UNKNOWN_ADAPTER": {
    "code": "LQA-X011",
    "clause": "-",
    "summary": "The pool has no adapter of that name.",
    "advice": "Add it, or check the name; it may have been removed."
  },
  "ADAPTER_IN_USE": {
    "code": "LQA-X012",
    "clause": "-",
    "summary": "The adapter is in use, and was to be removed only if it is not.",
    "advice": "Wait until its leases are released, or remove it without that condition."
  },
  "GPU_DEVICE": {
    "code": "LQA-X013",
    "clause": "-",
    "summary": "The GPU device was lost, or refused what it was asked for.",
    "advice": "Ask for a new device and upload again; if it was not lost, report the message with the browser's version and the adapter's info."
  },
  "GPU_LIMIT": {
    "code": "LQA-X014",
    "clause": "-",
    "summary": "A buffer or a dispatch is larger than the GPU device allows.",
    "advice": "Ask for a device with higher limits (requiredLimits), destroy what is not needed, or use the module without the GPU."
  },
  "ACCESS_DENIED": {
    "code": "LQA-X020",
    "clause": "-",
    "summary": "A server refuses the credentials, or there are none.",
    "advice": "Check the credentials and what they are allowed to do; see docs/fleet.md for where they are looked for."
  },
  "MISSING_PACKAGE": {
    "code": "LQA-X021",
    "clause": "-",
    "summary": "An optional package that this needs is not installed.",
    "advice": "Install it beside lqa with npm."
  },
  "WORKER_LOST": {
    "code": "LQA-X022",
    "clause": "-",
    "summary": "Workers that had this job ended before they were done with it, too often.",
    "advice": "See the workers' logs; give them more memory, or look at the adapter on its own with lqa encode."
  },
  "UPLOAD_DAMAGED": {
    "code": "LQA-X023",
    "clause": "-",
    "summary": "What is stored is not what was sent.",
    "advice": "Try again; if it stays so, check the storage."
  },
  "NONCANONICAL_INDEX": {
    "code": "LQA-C001",
    "clause": "12",
    "summary": "The index is not laid out canonically.",
    "advice": "Rewrite the file with lqa."
  },
  "NONCANONICAL_CODES": {
    "code": "LQA-C002",
    "clause": "12",
    "summary": "Codes that decode alike are not in their canonical form.",
    "advice": "Rewrite the file with lqa."
  },
  "NONCANONICAL_NAME": {
    "code": "LQA-C003",
    "clause": "12",
    "summary": "A shared name prefix is not the longest possible.",
    "advice": "Rewrite the file with lqa."
  },
  "SOURCE_HEADER": {
    "code": "LQA-S001",
    "clause": "-",
    "summary": "The structure of a source file (safetensors, GGUF) breaks the rules of its format.",
    "advice": "Save the file again with the tool it came from."
  },
  "SOURCE_ELEMENT_TYPE": {
    "code": "LQA-S002",
    "clause": "-",
    "summary": "A tensor has an element type that does not fit its use.",
    "advice": "Save the adapter as F32, F16 or BF16."
  },
  "SOURCE_NONFINITE": {
    "code": "LQA-S003",
    "clause": "-",
    "summary": "A weight is Inf or NaN.",
    "advice": "The training run failed; there is nothing to encode."
  },
  "SOURCE_UNPAIRED_FACTOR": {
    "code": "LQA-S004",
    "clause": "-",
    "summary": "A module has an A factor without its B factor, or the reverse.",
    "advice": "Save the adapter again; a tensor is missing."
  },
  "SOURCE_SHAPE": {
    "code": "LQA-S005",
    "clause": "-",
    "summary": "The shapes of a module's factors contradict each other or the configuration.",
    "advice": "Check that the weights belong to this configuration."
  },
  "SOURCE_CONFIG": {
    "code": "LQA-S006",
    "clause": "-",
    "summary": "The adapter's configuration is not valid.",
    "advice": "Correct the configuration file."
  },
  "SOURCE_UNKNOWN_TENSOR": {
    "code": "LQA-S007",
    "clause": "-",
    "summary": "A tensor's name says nothing this dialect knows.",
    "advice": "Remove the tensor, or report the dialect so that it can be added."
  },
  "SOURCE_RANGE": {
    "code": "LQA-S008",
    "clause": "-",
    "summary": "A weight is too large for the chosen scale type.",
    "advice": "Choose a scale type with more range (bf16 or f32)."
  },
  "SOURCE_IMPORTANCE": {
    "code": "LQA-S009",
    "clause": "-",
    "summary": "An importance file has impossible values, or does not fit the adapter.",
    "advice": "Check that the file was made with the base model of this adapter."
  },
  "SOURCE_SHARDS": {
    "code": "LQA-S010",
    "clause": "-",
    "summary": "The index of a sharded model is broken, or does not say what its shards hold.",
    "advice": "Fetch the model again; its files do not belong together."
  },
  "MODELS_DIFFER": {
    "code": "LQA-S011",
    "clause": "-",
    "summary": "Two models do not have the same weights, so that there is no difference to take.",
    "advice": "Check that the one was fine-tuned from the other."
  },
  "NOTHING_TO_EXTRACT": {
    "code": "LQA-S012",
    "clause": "-",
    "summary": "Two models do not differ in any weight that an adapter could be extracted from.",
    "advice": "Check that the paths are not those of the same model."
  },
  "UNSAFE_PICKLE": {
    "code": "LQA-S013",
    "clause": "-",
    "summary": "A Python pickle asks for more than tensors, which could run code; nothing of it was executed.",
    "advice": "Do not load this file with torch.load either. If you trust its source, save the tensors as safetensors there."
  }
} as const;

/** Name of an error in the catalogue. */
export type ErrorName = keyof typeof ERRORS;
