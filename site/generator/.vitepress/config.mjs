// The site as VitePress builds it: static, nothing from another server, search in the page. `site/build.mjs` stages the pages
// and sets the two variables.
import { repositoryAddress } from "../../../.ci/repository-address.mjs";
import { CONTENTS, pageOf } from "../../contents.mjs";

const link = (file) => (file.startsWith("/") ? file : `/${pageOf(file)}`);
/** Addresses that are in the site and not of its pages: loaded as any other. */
const item = ([file, text]) => ({
  text,
  link: link(file),
  ...(file.startsWith("/") ? { target: "_self" } : {}),
});
const pages = process.env.LQA_SITE_PAGES === "1";
const repository = repositoryAddress();

export default {
  title: "LQA",
  description: "The file format and codec library for quantized LoRA adapters",
  lang: "en",
  base: process.env.LQA_SITE_BASE ?? "/",
  srcDir: ".pages",
  outDir: "../dist",
  cacheDir: ".cache",
  lastUpdated: false,
  markdown: {
    html: false,
    theme: { light: "github-light-high-contrast", dark: "github-dark-high-contrast" },
    anchor: { slugify: heading },
  },
  themeConfig: {
    outline: [2, 3],
    search: { provider: "local" },
    nav: [
      { text: "Start", link: "/docs/guide/first-adapter" },
      { text: "How it works", link: "/docs/how-it-works" },
      { text: "Specification", link: "/spec/lqa-v1" },
      { text: "Errors", link: "/docs/errors", activeMatch: "errors" },
      { text: "API", link: "/api/index.html", target: "_self" },
      ...(pages
        ? [
            { text: "Inspector", link: "/inspector/index.html", target: "_self" },
            { text: "Try it", link: "/chat/index.html", target: "_self" },
          ]
        : []),
      ...(repository === undefined ? [] : [{ text: "Source", link: repository }]),
    ],
    sidebar: CONTENTS.map(({ title, pages }) => ({ text: title, items: pages.map(item) })),
  },
};

/** Anchors of headings as GitHub makes them, so that a link works in both places. */
function heading(title) {
  return title
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replaceAll(" ", "-");
}
