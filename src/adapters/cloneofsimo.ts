/**
 * The cloneofsimo dialect: safetensors files of the first LoRA program for Stable Diffusion (`unet:12:up`).
 *
 * Modules have numbers instead of names, in the order in which that program met the layers; the multiplier is 1. Vectors of
 * textual inversion in the same file (`<s1>`) are carried.
 *
 * @module
 */
import type { Adapter } from "../model/adapter.ts";
import { UNSCALED } from "./alpha.ts";
import type { Dialect, WriteOptions } from "./dialect.ts";
import type { Convention } from "./state-dict/convention.ts";
import { readStateDict } from "./state-dict/read.ts";
import { safetensorsFile, writeStateDict } from "./state-dict/write.ts";

const KEY = /^([a-z_0-9]+:\d+):(up|down)$/;

const convention: Convention = {
  name: "cloneofsimo",
  file: "lora.safetensors",
  layout: "rows",
  parse(key, { shape }) {
    const found = KEY.exec(key);
    if (found !== null) {
      return { kind: "part", part: found[2] === "up" ? "b" : "a", module: found[1]!, style: "" };
    }
    return shape.length === 1 && /^<.+>$/.test(key)
      ? { kind: "tensor", role: "carried", name: key }
      : undefined;
  },
  key: ({ name }, part) => `${name}:${part === "b" ? "up" : "down"}`,
  scale: () => UNSCALED,
  roles: [],
};

/** See {@link Dialect}. */
export const cloneofsimo: Dialect = {
  name: "cloneofsimo",
  title: "cloneofsimo (unet:N:up)",
  naming: "numbers",
  detect: ({ keys }) => keys.some((key) => KEY.test(key)),
  read: (source, settings) => readStateDict(source.tensors(), source.weights!.name, convention, settings),
  write(adapter: Adapter, options: WriteOptions) {
    return new Map([safetensorsFile(writeStateDict(adapter, convention, options))]);
  },
};
