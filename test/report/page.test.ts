/** The page: well-formed whatever is in the file, without anything that runs or asks for something. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Adapter, type MetaMap, open } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { drawReport, inspectLqa } from "../../src/report/index.ts";
import { normal } from "../helpers/random.ts";
import { cases } from "../helpers/thorough.ts";

const HOSTILE = [
  '<script>alert("1")</script>',
  '"><img src=x onerror=alert(1)>',
  "</style></title><svg/onload=alert(1)>",
  "' onmouseover='alert(1)",
  "--><!-- <![CDATA[",
  "]]>&amp;\u202eevil",
];
const next = normal(3);

function adapterOf(names: readonly string[], meta: Adapter["meta"] = {}): Adapter {
  const weights = (length: number): Float32Array => Float32Array.from({ length }, () => next());
  return {
    modules: names.map((name) => ({
      ...{ name, role: "linear" as const, out: 16, in: 24, kernel: [], groups: 1, experts: 1, rank: 2 },
      ...{
        baseLayout: "out-in" as const,
        multiplier: 1,
        alpha: 0,
        rule: "none" as const,
        b: weights(32),
        a: weights(48),
      },
    })),
    tensors: [
      { name: names[0]!, role: "bias", element: "F32", shape: [2], axis: 0, data: new Uint8Array(8) },
    ],
    origin: { dialect: names[0]!, "<b>": [...names] },
    meta,
  };
}

const ELEMENTS = new Set(
  "html head meta title link style body a header h1 h2 h3 p span small i dl div dt dd nav ul li main section svg rect path circle text desc line g figure figcaption details summary table caption thead tbody tr th td code pre footer wbr".split(
    " ",
  ),
);
const VOID = new Set(["meta", "link", "wbr"]);

/** Reads a page as strictly as XML is read, and refuses every element and attribute that a report has no need of. */
function parse(page: string): { readonly elements: string[]; readonly text: string } {
  const open: string[] = [];
  const elements: string[] = [];
  let text = "";
  const body = page.replace(/^<!doctype html>/, "").replace(/(<style>)[^<]*(?=<\/style>)/g, "$1");
  for (const [piece, end, name, attributes, empty] of body.matchAll(
    /<(\/?)([a-z0-9]+)((?: [a-zA-Z0-9-]+="[^"<>]*")*)(\/?)>|[^<]+|</g,
  )) {
    if (name === undefined) {
      expect(piece).not.toBe("<");
      expect(piece).not.toMatch(/[>]|&(?!(amp|lt|gt|quot);)/);
      text += piece;
    } else if (end === "/") expect(open.pop()).toBe(name);
    else {
      expect(ELEMENTS).toContain(name);
      elements.push(name);
      for (const [, key, value] of attributes!.matchAll(/ ([^=]+)="([^"]*)"/g)) {
        expect(key).not.toMatch(/^on|^src|^action|^formaction/);
        if (key === "href") expect(value).toMatch(name === "link" ? /^data:image\/svg\+xml,/ : /^#[a-z]+$/);
        // Policies without 'unsafe-inline' would refuse it, and the inspector page has one.
        expect(key).not.toBe("style");
      }
      if (empty === "" && !VOID.has(name)) open.push(name);
    }
  }
  expect(open).toEqual([]);
  return { elements, text };
}

describe("a report", () => {
  it("has every section, in order, and a table for every drawing", async () => {
    const adapter = adapterOf(["layers.0.q", "layers.1.q"], { base_model: "tiny" });
    const { bytes } = await encodeAdapter(adapter, { maxError: 0.02 });
    const page = drawReport(await inspectLqa(bytes, { source: adapter }), { title: "tiny.lqa" });
    const { elements, text } = parse(page);
    const titles = [...page.matchAll(/<h2 id="([a-z]+)-title">([^<]+)</g)].map(([, id]) => id);
    expect(titles).toEqual([
      "findings",
      "bytes",
      "maps",
      "worst",
      "curve",
      "spectra",
      "codes",
      "modules",
      "metadata",
    ]);
    expect([...page.matchAll(/<li><a href="#([a-z]+)"/g)].map(([, id]) => id)).toEqual(titles);
    expect(elements.filter((name) => name === "h1")).toHaveLength(1);
    expect(elements.filter((name) => name === "table")).toHaveLength(
      elements.filter((name) => name === "caption").length,
    );
    expect(
      page.match(/<svg [^>]*(role="img"[^>]*aria-label|[^>]*aria-hidden|class="lqa-curve"[^>]*role="img")/g),
    ).toHaveLength(elements.filter((name) => name === "svg").length);
    expect(text).toContain("an adapter of tiny");
    expect(text).toContain("measured against the source");
    expect(page).toContain("default-src 'none'");
    const icon = (markup: string): string | undefined => /<link rel="icon" href="([^"]+)">/.exec(markup)?.[1];
    expect(icon(page)?.replaceAll("&#39;", "'")).toBe(
      icon(readFileSync(new URL("../../site/inspector/index.html", import.meta.url), "utf8")),
    );
    expect(page).toContain('content="width=device-width, initial-scale=1"');
    expect(page).not.toMatch(/NaN|undefined|\[object|Infinity/);
  });

  it("says what it does not know", async () => {
    const { bytes } = await encodeAdapter(adapterOf(["layers.0.q"]));
    const page = drawReport(await inspectLqa(bytes), { title: "tiny.lqa" });
    parse(page);
    expect(page).toContain("as written by the encoder; not measured");
    expect(page).toContain("The error of each module is unknown");
    expect(page).not.toContain('id="worst"');
  });

  it("has layer 2 before layer 10, in maps and lists", async () => {
    const names = Array.from({ length: 11 }, (_, i) => `layers.${i}.q`);
    const { bytes } = await encodeAdapter(adapterOf(names));
    const page = drawReport(await inspectLqa(bytes), { title: "tiny.lqa" });
    const rows = [...page.matchAll(/<th scope="row" title="layers\.(\d+)"/g)].map(([, layer]) =>
      Number(layer),
    );
    expect(rows.length % 11).toBe(0);
    expect(rows.slice(0, 11)).toEqual(names.map((_, i) => i));
    expect(page.indexOf("layers.<wbr>2.<wbr>q")).toBeLessThan(page.indexOf("layers.<wbr>10.<wbr>q"));
  });

  it("shows no figures of a damaged file but its size", async () => {
    const { bytes } = await encodeAdapter(adapterOf(["layers.0.q"]));
    const whole = drawReport(await inspectLqa(bytes), { title: "tiny.lqa" });
    const damaged = bytes.slice();
    const { chunk } = (await open(bytes)).modules[0]!;
    damaged[chunk.offset]! ^= 1;
    const page = drawReport(await inspectLqa(damaged), { title: "tiny.lqa" });
    const cards = (text: string) =>
      [...text.matchAll(/<dt>([^<]*)<\/dt><dd>[^<]*<small>/g)].map(([, name]) => name);
    expect(cards(whole).length).toBeGreaterThan(3);
    expect(cards(page)).toEqual(["Size"]);
    expect(page).toContain("This file is damaged");
  });

  it("is the same page for the same inspection", async () => {
    const { bytes } = await encodeAdapter(adapterOf(["layers.0.q"]));
    const [one, other] = [await inspectLqa(bytes), await inspectLqa(bytes)];
    expect(drawReport(one, { title: "x" })).toBe(drawReport(other, { title: "x" }));
  });

  it("is drawn of files that hold nothing, or cannot be read", async () => {
    const empty: Adapter = { modules: [], tensors: [], origin: undefined, meta: {} };
    for (const bytes of [(await encodeAdapter(empty)).bytes, new Uint8Array(3), new Uint8Array(0)]) {
      const page = drawReport(await inspectLqa(bytes, { source: empty }), { title: "x" });
      expect(parse(page).elements).toContain("section");
      expect(page).not.toMatch(/NaN|undefined|\[object|Infinity/);
    }
  });

  it("takes names, metadata, findings and titles from files as text", async () => {
    // Keys of metadata are printable ASCII.
    const meta = Object.fromEntries(HOSTILE.slice(0, 5).map((text, i) => [text, HOSTILE.toReversed()[i]!]));
    const names = HOSTILE.map((text) => `layers.0.${text.replace("\u202e", "")}`);
    const adapter = adapterOf(names, { ...meta, base_model: HOSTILE[0]!, encoder: HOSTILE[1]! });
    const { bytes } = await encodeAdapter(adapter, { maxError: 0.02 });
    const damaged = bytes.slice();
    damaged[Math.floor(bytes.length * 0.7)]! ^= 255;
    for (const file of [bytes, damaged]) {
      const page = drawReport(await inspectLqa(file, { source: adapterOf(names.slice(1)) }), {
        title: HOSTILE[2]!,
      });
      const { text } = parse(page);
      expect(text).toContain("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;");
      expect(page).not.toContain("\u202e");
    }
  });

  it("takes any title and any metadata", async () => {
    const { bytes } = await encodeAdapter(adapterOf(["layers.0.q"]));
    const inspection = await inspectLqa(bytes);
    fc.assert(
      fc.property(
        fc.string({ unit: "binary" }),
        fc.dictionary(fc.string(), fc.jsonValue() as never),
        (title, meta) => {
          parse(drawReport({ ...inspection, meta: meta as MetaMap }, { title }));
        },
      ),
      { numRuns: cases(40) },
    );
  });
});
