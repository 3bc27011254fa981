/**
 * The origin record of a PEFT adapter (spec clause 10.3): the fields of every file of tensors, plus the configuration byte
 * for byte, and anything unusual about the keys.
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
  /** The adapter's name, where keys carry it. */
  readonly adapter: string | undefined;
}

/** Packs the record. Fields at their usual values are left out. */
export function packOrigin(origin: PeftOrigin): Origin {
  const packed = packFileOrigin("peft", origin);
  packed.config = origin.config;
  if (origin.prefix !== PREFIX) packed.prefix = origin.prefix;
  if (origin.adapter !== undefined) packed.adapter_name = origin.adapter;
  return packed;
}

/**
 * Unpacks the record of an adapter, which may come from a file anyone could have written.
 *
 * @throws LqaError UNSUPPORTED_DIALECT if a field does not have its type.
 */
export function unpackOrigin(packed: Origin): PeftOrigin {
  return {
    ...unpackFileOrigin(packed),
    config: originBytes(packed, "config") ?? badOrigin("config", "bytes"),
    prefix: originString(packed, "prefix") ?? PREFIX,
    adapter: originString(packed, "adapter_name"),
  };
}
