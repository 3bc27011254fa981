// bench/decode.mjs in a page: decode-runtimes.mjs bundles this for browsers and asks `measure`.
import { measure } from "./decode.mjs";

globalThis.measure = measure;
