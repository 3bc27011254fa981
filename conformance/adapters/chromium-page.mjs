// The library of this repository as a reader, within a page: chromium.mjs bundles this for browsers and asks `answer`.

import { toHex } from "../../dist/common/bytes.js";
import { sha256 } from "../../dist/common/sha256.js";
import { readIndex } from "../../dist/core/container/index-read.js";
import * as library from "../../dist/core/index.js";
import { readerOf } from "./lqa-document.mjs";

const answer = readerOf(library, { readIndex, sha256, toHex });

const fetched = async (path) => await (await fetch(path)).bytes();

/** The answer to a command `run`, as JSON. The file of a command with a path is served under its number, its parents behind it. */
globalThis.answer = async (command) => {
  const { seq, hex, parents = [] } = command;
  try {
    const bytes = hex === undefined ? await fetched(`/file/${seq}`) : Uint8Array.fromHex(hex);
    const family = await Promise.all(parents.map((_, i) => fetched(`/file/${seq}/${i}`)));
    return JSON.stringify({ seq, ...(await answer(bytes, command, family)) });
  } catch (error) {
    return JSON.stringify({ seq, errored: error.stack });
  }
};
globalThis.VERSION = library.VERSION;
