// What the site holds, in the order of its sidebar: one group for each kind of page (tutorial, how-to, reference, explanation), and
// each page in one group. Pages are named by their path in the repository; pages and files that these link to come along. A
// page that is not Markdown (an address in the site itself) begins with a slash.

export const CONTENTS = [
  {
    title: "Learn",
    pages: [
      ["docs/guide/first-adapter.md", "Your first adapter"],
      ["docs/guide/phone.md", "From PEFT to a phone"],
      ["docs/guide/training.md", "From training to serving"],
    ],
  },
  {
    title: "How to",
    pages: [
      ["docs/guide/choosing-bits.md", "Choose the bits"],
      ["docs/guide/scoring.md", "Score an adapter"],
      ["docs/guide/migrating.md", "Convert adapters"],
      ["docs/guide/reading.md", "Read a file"],
      ["docs/guide/code.md", "Use the library"],
      ["docs/many.md", "Encode many adapters"],
      ["docs/guide/serving.md", "Serve many adapters"],
      ["docs/guide/hub.md", "Use the Hugging Face hub"],
      ["integrations/comfyui/README.md", "Use ComfyUI"],
      ["docs/guide/registries.md", "Registries and signatures"],
      ["docs/guide/ci.md", "Check files in CI"],
      ["docs/report.md", "Make a report"],
      ["docs/implementers.md", "Write a reader"],
    ],
  },
  {
    title: "Reference",
    pages: [
      ["docs/features.md", "Features"],
      ["docs/dialects.md", "File formats"],
      ["docs/peft-layout.md", "The PEFT layout"],
      ["spec/lqa-v1.md", "Specification"],
      ["spec/application.md", "Application to base models"],
      ["/api/index.html", "API"],
      ["docs/errors.md", "Errors"],
      ["docs/validate.md", "Validation levels"],
      ["docs/http.md", "Reading over HTTP"],
      ["docs/serving.md", "Packed adapters"],
      ["docs/inspector.md", "Inspector page"],
      ["docs/chat.md", "A model in the browser"],
      ["docs/size.md", "Size in a bundle"],
      ["integrations/python/README.md", "Python package"],
      ["integrations/c/README.md", "C library"],
      ["conformance/README.md", "Conformance suite"],
    ],
  },
  {
    title: "Understand",
    pages: [
      ["docs/how-it-works.md", "How it works"],
      ["spec/rationale.md", "Why the format is so"],
      ["docs/known-starts.md", "Known starts"],
      ["docs/parents.md", "Parents"],
      ["docs/comparison.md", "Other formats"],
      ["docs/results.md", "Tasks kept"],
      ["docs/fidelity.md", "Fidelity"],
      ["docs/decoding.md", "Speed of decoding"],
      ["docs/attacks.md", "Hostile files"],
      ["docs/faq.md", "Questions"],
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
