declare module "virtual:clauses" {
  /** Clauses of the specification by number, as markup. */
  export const CLAUSES: Readonly<Record<string, string>>;
}
declare module "virtual:report.css" {}
declare module "*?worker&url" {
  const address: string;
  export default address;
}
declare module "markdown-it" {
  /** What the build uses of it. */
  export default class MarkdownIt {
    render(text: string): string;
    renderInline(text: string): string;
  }
}
