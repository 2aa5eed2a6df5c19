// The pages: their length and beginning, their links, and figures that come from the code.
import { existsSync, readFileSync } from "node:fs";
import { glob } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { publishedMail, whereReport } from "../../services/reporter/message.ts";
import { keptDays } from "../../shared/child-tables.ts";
import { dataset } from "../../shared/dataset-schema.ts";
import { expectation, expectationKinds } from "../../shared/expectations.ts";
import { daysInWork, keys } from "../../shared/keys.ts";
import { kinds } from "../../shared/statistics/rules.ts";
import { surveys } from "../../shared/statistics/surveys.ts";
import { datasetOf } from "../factories/dataset-entries.ts";
import { resultOf } from "../factories/results.ts";
import { pages, targetOf } from "./markdown.ts";

const all = await pages();
const byFile = new Map(all.map((page) => [page.file, page]));

test("README has at most 150 lines", () => {
  expect(byFile.get("README.md")?.text.trimEnd().split("\n").length).toBeLessThanOrEqual(150);
});

/** Pages of its own kind: records begin with their date, and generated pages with what generates them. */
const generated = ["docs/dictionary.md"];
const manuals = all.filter(({ file }) => /^docs\/[^/]+\.md$/.test(file) && !generated.includes(file));

test.each(manuals)("$file begins with its readers and what they can do after reading", ({ intro }) => {
  expect(intro).toMatch(/^For .+\. After reading this page you (can|know) /s);
});

test.each(all)("every relative link of $file leads to a file and a heading", ({ file, links }) => {
  const broken = links.filter((link) => {
    const target = targetOf(file, link);
    if (!target) return false;
    if (target.path.startsWith("..") || !existsSync(target.path)) return true;
    return target.anchor !== "" && !byFile.get(target.path)?.anchors.has(target.anchor);
  });
  expect(broken).toEqual([]);
});

test("every other link is an https address", () => {
  const others = all.flatMap(({ file, links }) => links.filter((link) => !targetOf(file, link)));
  expect(others.filter((link) => !link.startsWith("https://") || !URL.canParse(link))).toEqual([]);
  expect(others.length).toBeGreaterThan(10);
});

test.each(all)("every path that $file names in code is that of a file", ({ file, code }) => {
  const paths = code.filter((text) => /^(services|shared|stacks|test|docs)\/[\w./-]+\.\w+$/.test(text));
  expect(paths.filter((path) => !existsSync(path) && !existsSync(join(dirname(file), path)))).toEqual([]);
});

test("links lead from README to every page of docs", () => {
  const found = new Set(["README.md"]);
  for (const file of found) {
    for (const link of byFile.get(file)?.links ?? []) {
      const path = targetOf(file, link)?.path;
      if (path !== undefined && byFile.has(path)) found.add(path);
    }
  }
  expect(all.map(({ file }) => file).filter((file) => file.startsWith("docs/") && !found.has(file))).toEqual(
    [],
  );
});

test.each(["docs/performance.md", "docs/scale.md", "docs/deploy.md"])(
  "the figures of %s are dated",
  (file) => {
    expect(byFile.get(file)?.text).toMatch(
      /\b(January|February|March|April|May|June|July|August|September|October|November|December) 20\d\d\b/,
    );
  },
);

test("docs/operate.md shows the email of a published run", () => {
  const tableau = { dataSources: [{ name: "Reference" }], workbooks: [] };
  const entry = { timeZone: "America/New_York", columns: datasetOf([]).columns, tableau };
  const counts = { added: 134, edited: 14, deleted: 2, moved: 0 };
  const since = { runId: "earlier", requestedAt: "2026-11-16T11:00:00Z" };
  const months = [
    { month: "2026-11", added: 20, edited: 1, deleted: 0, moved: 0 },
    { month: "2026-10", added: 114, edited: 13, deleted: 2, moved: 0 },
  ];
  const result = resultOf({ changes: { since, ...counts, columns: {}, months } });
  const report = `s3://RESULTS_BUCKET/${keys.runReport(result.dataset, result.runId)}`;
  const where = whereReport("Report, after Athena's update", report);
  const email = `${publishedMail(result, entry, true)}\n\n${where}`;
  expect(byFile.get("docs/operate.md")?.blocks.map(({ text }) => text)).toContain(email);
});

test("messages and comments of the code name pages that exist", async () => {
  const missing: string[] = [];
  for await (const file of glob("{services,shared,stacks}/**/*.{ts,mjs}")) {
    const named =
      readFileSync(file, "utf8").match(/(?<![\w/:.-])(docs|stacks|services|test)\/[\w/-]+\.md\b/g) ?? [];
    missing.push(...named.filter((page) => !existsSync(page)).map((page) => `${file}: ${page}`));
  }
  expect(missing).toEqual([]);
});

test("docs/privacy.md has the days of every folder of the work bucket", () => {
  const rows =
    byFile
      .get("docs/privacy.md")
      ?.text.split("\n")
      .filter((line) => line.startsWith("|")) ?? [];
  for (const [folder, days] of Object.entries(daysInWork)) {
    const row = rows.find((line) => line.startsWith("| Work bucket") && line.includes(`\`${folder}\``));
    expect(row).toMatch(new RegExp(` ${days} \\|$`));
  }
  expect(rows.find((line) => line.includes("-parquet/"))).toContain(` ${keptDays} |`);
});

test("the emulator's page counts the resources that its test expects", () => {
  const source = readFileSync("test/emulator/resources.test.ts", "utf8");
  const counts = [...source.matchAll(/"aws:(\w+\/\w+):\w+": (\d+),/g)];
  const { text = "" } = byFile.get("test/emulator/README.md") ?? {};
  for (const [, type, count] of counts) expect(text).toMatch(new RegExp(`\`${type}\`[^|]*\\| ${count} \\|`));
  const total = counts.reduce((sum, [, , count]) => sum + Number(count), 0);
  expect(text).toContain(`${total} resources of ${counts.length} types`);
});

describe("limits that a page names are those of the code", () => {
  const defaults = dataset.shape.guard.parse({});

  test("the guard", () => {
    const { text = "" } = byFile.get("docs/datasets.md") ?? {};
    for (const [field, value] of Object.entries(defaults))
      expect(text).toContain(`| \`${field}\` | ${value} |`);
    const held = byFile.get("docs/operate.md")?.text;
    expect(held).toContain(`More than ${defaults.maxRejectPercent}% of its records are rejected`);
    expect(held).toContain(`more than ${defaults.maxMistypedPercent}% of a column's values`);
    expect(held).toContain(`more than ${defaults.maxShrinkPercent}% fewer rows`);
  });

  test("the expectations", () => {
    const rows = byFile.get("docs/datasets.md")?.text.split("\n") ?? [];
    for (const kind of expectationKinds) {
      const settings = [{}, { column: "x" }, { column: "x", min: 0 }];
      const defaults = settings
        .map((given) => expectation.safeParse({ kind, ...given }).data)
        .find((parsed) => parsed !== undefined);
      const row = rows.find((line) => line.startsWith(`| \`${kind}\` |`));
      for (const [name, value] of Object.entries(defaults ?? { kind }))
        if (typeof value === "number" && name !== "min") expect(row).toContain(`${name}: ${value}`);
      expect(row).toBeDefined();
    }
  });

  test("the surveys, and the line of each kind", () => {
    const { text = "" } = byFile.get("docs/statistics.md") ?? {};
    const names = surveys.map(({ name }) => `\`${name}\``);
    expect(text).toContain(`| Kind | Meaning | ${names.join(" | ")} |`);
    for (const kind of kinds) {
      const lines = surveys.map(({ kinds: { [kind]: line } }) =>
        typeof line === "string" ? `\`${line}\`` : "excluded",
      );
      expect(text).toMatch(new RegExp(`^\\| \`${kind}\` \\| [^|]+ \\| ${lines.join(" \\| ")} \\|$`, "m"));
    }
    for (const { name, lines } of surveys) {
      const ids = Object.keys(lines).map((line) => `\`${line}\``);
      expect(text).toContain(`| \`${name}\` | ${ids.join(", ")} |`);
    }
  });

  test("the column types", () => {
    const { text = "" } = byFile.get("docs/datasets.md") ?? {};
    const source = readFileSync("shared/column-types.ts", "utf8");
    const types = /columnType = z\.enum\(\[(.*)\]\)/.exec(source)?.[1]?.match(/\w+/g) ?? [];
    expect(types).toHaveLength(7);
    for (const type of types) expect(text).toContain(`| \`${type}\` |`);
  });
});
