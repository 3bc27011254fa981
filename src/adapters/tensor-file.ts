/**
 * A file of named tensors in any supported container: safetensors, a PyTorch pickle, NumPy's npz.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { SourceBytes } from "./dialect.ts";
import { quoteName } from "./json.ts";
import { readNpz } from "./pickle/npz.ts";
import { isOldPickle, isTorchFile, readTorchFile } from "./pickle/torch.ts";
import { readSafetensors, type Safetensors } from "./safetensors.ts";

/** The tensors of a file, in file order. Only safetensors files have metadata. */
export type TensorFile = Safetensors;

/**
 * Reads the tensors of a file. Its first bytes identify the container; a zip archive is npz if its name says so.
 *
 * @throws LqaError TRUNCATED_SOURCE, SOURCE_HEADER, SOURCE_ELEMENT_TYPE; UNSAFE_PICKLE for a pickle that refers to
 * anything but tensors; UNSUPPORTED_DIALECT for a pickle of protocol 0 or 1
 */
export function readTensorFile(bytes: SourceBytes, name: string): TensorFile {
  const file = readAny(bytes, name);
  for (const key of file.tensors.keys()) assertKeyLength(key, name);
  return file;
}

/** Most characters of a tensor's name. Conventions parse names with patterns, some in quadratic time. */
const MOST_CHARACTERS = 4096;

/** @throws LqaError SOURCE_HEADER */
export function assertKeyLength(key: string, file: string): void {
  if (key.length <= MOST_CHARACTERS) return;
  fail(KIND.SOURCE_HEADER, {
    where: `file ${quoteName(file)}`,
    expected: `names of tensors of at most ${MOST_CHARACTERS} characters`,
    actual: `${quoteName(key)}, ${key.length} characters`,
  });
}

function readAny(bytes: SourceBytes, name: string): TensorFile {
  const magic = bytes.subarray(0, 16);
  const zip = magic[0] === 0x50 && magic[1] === 0x4b && magic[2] === 3 && magic[3] === 4;
  if (zip && name.endsWith(".npz")) return { metadata: undefined, tensors: readNpz(whole(bytes)) };
  if (zip || isTorchFile(magic)) return { metadata: undefined, tensors: readTorchFile(whole(bytes)) };
  if (isOldPickle(magic)) refuseOldPickle(name);
  return readSafetensors(bytes);
}

function refuseOldPickle(name: string): never {
  return fail(KIND.UNSUPPORTED_DIALECT, {
    where: `file ${quoteName(name)}`,
    expected: "a safetensors file, or a file of torch.save",
    actual: "a Python pickle of protocol 0 or 1",
    advice: "If you trust its source, load it in Python and save it with safetensors or torch.save.",
  });
}

function whole(bytes: SourceBytes): Uint8Array {
  return bytes.subarray(0, bytes.length);
}
