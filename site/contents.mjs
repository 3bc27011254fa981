// What the site holds, in the order of its sidebar. Pages are named by their path in the repository; pages and files that these
// link to come along. A page that is not Markdown (an address in the site itself) begins with a slash.

export const CONTENTS = [
  {
    title: "Guide",
    pages: [
      ["docs/guide.md", "What and why"],
      ["docs/guide/first-adapter.md", "Your first adapter"],
      ["docs/guide/choosing-bits.md", "Choosing bits"],
      ["docs/guide/reading.md", "Reading a file"],
      ["docs/guide/code.md", "In code"],
      ["docs/guide/serving.md", "Serving many"],
      ["docs/guide/ci.md", "Validating in CI"],
      ["docs/guide/migrating.md", "From safetensors, and back"],
      ["docs/guide/extract.md", "Extracting"],
      ["docs/features.md", "Features"],
      ["docs/comparison.md", "Comparison"],
      ["docs/faq.md", "Questions"],
    ],
  },
  {
    title: "Working with files",
    pages: [
      ["docs/dialects.md", "Dialects"],
      ["docs/validate.md", "Validating"],
      ["docs/signing.md", "Signing"],
      ["docs/report.md", "The report"],
      ["docs/inspector.md", "The inspector page"],
      ["docs/serving.md", "Serving"],
      ["docs/server.md", "A server"],
      ["docs/fleet.md", "Fleets"],
      ["docs/errors.md", "Errors"],
      ["docs/attacks.md", "Hostile files"],
    ],
  },
  {
    title: "Measured",
    pages: [
      ["docs/fidelity.md", "Fidelity"],
      ["docs/results.md", "Tasks"],
      ["docs/decoding.md", "Decoding"],
      ["docs/size.md", "Size of the library"],
    ],
  },
  {
    title: "Reference",
    pages: [
      ["spec/lqa-v1.md", "Specification"],
      ["/api/index.html", "API"],
      ["docs/implementers.md", "A reader in an afternoon"],
      ["docs/changes-before-1.0.md", "What changed before 1.0"],
      ["conformance/README.md", "Conformance suite"],
      ["integrations/python/README.md", "Python package"],
      ["integrations/c/README.md", "C library"],
    ],
  },
  {
    title: "Project",
    pages: [
      ["CHANGELOG.md", "Changes"],
      ["docs/releasing.md", "Releases and versions"],
      ["CONTRIBUTING.md", "Contributing"],
      ["SECURITY.md", "Security"],
    ],
  },
];

/** The page of a Markdown file, as a path in the site without its ending. */
export function pageOf(file) {
  if (file === "README.md") return "index";
  return file.replace(/(^|\/)README\.md$/, "$1index.md").replace(/\.md$/, "");
}
