// The Markdown pages of the repository as data: links, anchors, code.
import { glob, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parse } from "@textlint/markdown-to-ast";

export type CodeBlock = {
  lang: string;
  text: string;
  /** The text of the page between this block and the next one. */
  after: string;
};

export type Page = {
  /** Relative to the repository, such as docs/operate.md. */
  file: string;
  text: string;
  /** The paragraph after the title. */
  intro: string;
  /** The fragments of links to the page's headings, as GitHub makes them. */
  anchors: Set<string>;
  /** The targets of links and images. */
  links: string[];
  blocks: CodeBlock[];
  /** The texts of inline code. */
  code: string[];
};

type Node = ReturnType<typeof parse> | ReturnType<typeof parse>["children"][number];

/** Returns every page of the repository, in the order of their names. */
export async function pages(): Promise<Page[]> {
  const files: string[] = [];
  for await (const file of glob(["README.md", "{docs,services,shared,stacks,test}/**/*.md"]))
    files.push(file);
  return Promise.all(files.sort().map(async (file) => pageOf(file, await readFile(file, "utf8"))));
}

function pageOf(file: string, text: string): Page {
  const page: Page = { file, text, intro: "", anchors: new Set(), links: [], blocks: [], code: [] };
  const document = parse(text);
  const seen = new Map<string, number>();
  const ends: number[] = [];
  for (const node of nodesOf(document)) {
    if (node.type === "Header") {
      const slug = slugOf(textOf(node));
      const before = seen.get(slug) ?? 0;
      seen.set(slug, before + 1);
      page.anchors.add(before === 0 ? slug : `${slug}-${before}`);
    }
    if ((node.type === "Link" || node.type === "Image") && "url" in node) page.links.push(node.url);
    if (node.type === "Code" && "value" in node) page.code.push(node.value);
    if (node.type === "CodeBlock" && "value" in node) {
      const previous = page.blocks.at(-1);
      if (previous) previous.after = text.slice(ends.at(-1), node.range[0]);
      page.blocks.push({ lang: node.lang ?? "", text: node.value, after: text.slice(node.range[1]) });
      ends.push(node.range[1]);
    }
  }
  const first = document.children.find(({ type }) => type === "Paragraph");
  page.intro = first ? textOf(first) : "";
  return page;
}

function* nodesOf(node: Node): Generator<Node> {
  yield node;
  for (const child of childrenOf(node)) yield* nodesOf(child);
}

function childrenOf(node: Node): readonly Node[] {
  return "children" in node ? node.children : [];
}

function textOf(node: Node): string {
  return "value" in node ? node.value : childrenOf(node).map(textOf).join("");
}

/** https://github.com/Flet/github-slugger */
function slugOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, "")
    .replaceAll(" ", "-");
}

/** Returns the path, relative to the repository, and the fragment of a relative link; undefined for any other link. */
export function targetOf(file: string, link: string): { path: string; anchor: string } | undefined {
  if (/^[a-z]+:/.test(link)) return undefined;
  const [path = "", anchor = ""] = link.split("#");
  return { path: path === "" ? file : join(dirname(file), path), anchor };
}
