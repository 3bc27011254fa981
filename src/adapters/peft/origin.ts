/**
 * The origin record of a PEFT adapter (spec clause 10.3): the fields of every file of tensors, the configuration byte for
 * byte, and exceptions in the keys.
 *
 * @module
 */
import type { Origin } from "../../model/adapter.ts";
import {
  badOrigin,
  type FileOrigin,
  originBytes,
  originString,
  packFileOrigin,
  unpackFileOrigin,
} from "../origin.ts";
import { PREFIX } from "./keys.ts";

/** The record, unpacked. */
export interface PeftOrigin extends FileOrigin {
  /** `adapter_config.json`, byte for byte. */
  readonly config: Uint8Array;
  readonly prefix: string;
  /** The adapter's name, if keys contain it. */
  readonly adapter: string | undefined;
}

/** Packs the record. Omits fields with their usual values. */
export function packOrigin(origin: PeftOrigin): Origin {
  const packed = packFileOrigin("peft", origin);
  packed.config = origin.config;
  if (origin.prefix !== PREFIX) packed.prefix = origin.prefix;
  if (origin.adapter !== undefined) packed.adapter_name = origin.adapter;
  return packed;
}

/**
 * Unpacks the record of an adapter. It may come from an untrusted file.
 *
 * @throws LqaError UNSUPPORTED_DIALECT if a field does not have its type
 */
export function unpackOrigin(packed: Origin): PeftOrigin {
  return {
    ...unpackFileOrigin(packed),
    config: originBytes(packed, "config") ?? badOrigin("config", "bytes"),
    prefix: originString(packed, "prefix") ?? PREFIX,
    adapter: originString(packed, "adapter_name"),
  };
}
