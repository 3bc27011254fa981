/** Links of the documentation inside the repository lead somewhere, to a heading if they name one. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
const pages = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"], {
  cwd: root,
  encoding: "utf8",
})
  .split("\n")
  .filter((name) => name !== "" && existsSync(join(root, name)));

/** Headings as GitHub and most renderers name them. */
function anchors(page: string): Set<string> {
  const text = readFileSync(page, "utf8").replace(/```[\s\S]*?```/g, "");
  const found = [...text.matchAll(/^#+ +(.*)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replaceAll(" ", "-"),
  );
  return new Set([...found, ...[...text.matchAll(/<a (?:id|name)="([^"]+)"/g)].map(([, id]) => id!)]);
}

it("has pages with links", () => {
  expect(pages).toContain("README.md");
  expect(pages.length).toBeGreaterThan(10);
});

it.each(pages)("%s links to what is there", (page) => {
  const text = readFileSync(join(root, page), "utf8").replace(/```[\s\S]*?```/g, "");
  const broken: string[] = [];
  for (const [, link, attribute] of text.matchAll(/\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"/g)) {
    const target = link ?? attribute!;
    if (/^[a-z]+:/i.test(target)) continue;
    const [path, anchor] = target.split("#") as [string, string?];
    const file = path === "" ? join(root, page) : resolve(root, dirname(page), path);
    if (!existsSync(file)) broken.push(target);
    else if (
      anchor !== undefined &&
      statSync(file).isFile() &&
      file.endsWith(".md") &&
      !anchors(file).has(anchor)
    )
      broken.push(target);
  }
  expect(broken).toEqual([]);
});
