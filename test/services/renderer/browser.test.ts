// The report in a real browser: accessibility, widths, color schemes, print, keyboard. Skipped on a machine without Chromium.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import axe from "axe-core";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { renderReport } from "../../../services/renderer/render.ts";
import { reportStates, stressedReport } from "../../factories/library-history.ts";
import { anyProfiles, visitInputsOf } from "../../factories/profiles.ts";
import { chromiumPath, launchChromium } from "../../support/chromium.ts";
import { useFolder } from "../../support/temporary-folder.ts";

const path = chromiumPath();
if (!path) console.log("No Chromium is in PATH or CHROMIUM, so the report is not checked in a browser.");

describe.skipIf(!path)("the report in Chromium", { timeout: 300_000 }, () => {
  const folder = useFolder();
  const [, visits] = visitInputsOf(anyProfiles(1));
  const values = { ...visits, dataset: { ...visits.dataset, kind: "e-resources" as const, roles: {} } };
  const inputs = { ...reportStates(), stressed: stressedReport(), visits, values };
  type Name = keyof typeof inputs;
  let browser: Browser;

  beforeAll(async () => {
    browser = await launchChromium(path ?? "");
    for (const [name, input] of Object.entries(inputs))
      await writeFile(join(folder, `${name}.html`), renderReport(input));
  });
  afterAll(() => browser.close());

  /** Opens a report in a context of its own, which is closed afterwards. */
  async function withPage<T>(
    name: Name,
    options: BrowserContextOptions,
    use: (page: Page) => Promise<T>,
  ): Promise<T> {
    const context = await browser.newContext(options);
    try {
      const page = await context.newPage();
      await page.goto(pathToFileURL(join(folder, `${name}.html`)).href);
      return await use(page);
    } finally {
      await context.close();
    }
  }
  const size = (width: number) => ({ viewport: { width, height: 800 } });

  /** Returns the elements that are wider than the page. The scripts are texts, because these types have no DOM. */
  const overflowing = (page: Page) =>
    page.evaluate<unknown>(`(() => {
      const { clientWidth, scrollWidth } = document.documentElement;
      const all = [...document.querySelectorAll("main *")];
      const wide = all.filter((element) => element.getBoundingClientRect().right > clientWidth + 0.5);
      return scrollWidth > clientWidth ? [scrollWidth, ...wide.map(({ outerHTML }) => outerHTML.slice(0, 150))] : [];
    })()`);

  /** Returns what axe-core finds in Levels A and AA of WCAG 2.2 and among its best practices. */
  const violations = (page: Page) =>
    page.evaluate<unknown>(`axe.run({ runOnly: { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] } })
        .then(({ violations, passes }) => ({
          isRun: passes.length > 15,
          found: violations.map(({ id, nodes }) => [id, nodes.slice(0, 3).map(({ html }) => html)]),
        }))`);

  it.each(["published", "held", "failed", "superseded", "empty", "stressed", "visits", "values"] as const)(
    "has no accessibility violations and no sideways scrolling: %s",
    async (name) => {
      await withPage(name, {}, async (page) => {
        await page.evaluate(axe.source);
        for (const width of [320, 360, 1440])
          for (const colorScheme of ["light", "dark"] as const) {
            await page.setViewportSize({ width, height: 800 });
            await page.emulateMedia({ colorScheme });
            expect(await violations(page), `${width} px, ${colorScheme}`).toEqual({ isRun: true, found: [] });
            expect(await overflowing(page), `${width} px`).toEqual([]);
          }
      });
    },
  );

  it("makes no request, and works without JavaScript", async () => {
    await withPage("published", { ...size(1440), javaScriptEnabled: false }, async (page) => {
      const requests: string[] = [];
      page.on("request", (request) => requests.push(request.url()));
      await page.reload();
      expect(requests).toEqual([page.url()]);
      expect(await page.getByRole("heading", { level: 1 }).innerText()).toContain("records are published");
      const cell = page.getByRole("cell", { name: "Aug 26, 2024" });
      expect(await cell.isVisible()).toBe(false);
      await page.getByText("All weeks as a table").click();
      expect(await cell.isVisible()).toBe(true);
      await page.getByRole("link", { name: "Known gaps" }).click();
      expect(page.url()).toMatch(/#gaps$/);
    });
  });

  it("can be used with the keyboard, in the order of the page", async () => {
    await withPage("published", size(1440), async (page) => {
      const stops = await page.locator("a, summary").allInnerTexts();
      const focused: unknown[] = [];
      for (let n = 0; n < stops.length; n++) {
        await page.keyboard.press("Tab");
        focused.push(await page.evaluate<unknown>("document.activeElement.innerText"));
      }
      expect(focused).toEqual(stops);
      await page.locator("summary").press("Enter");
      expect(await page.getByRole("cell", { name: "Aug 26, 2024" }).isVisible()).toBe(true);
    });
  });

  it("keeps its text in view with wider text spacing at 320 px", async () => {
    await withPage("published", size(320), async (page) => {
      const content =
        "*{line-height:1.5!important;letter-spacing:.12em!important;word-spacing:.16em!important}p{margin-bottom:2em!important}";
      await page.addStyleTag({ content });
      expect(await overflowing(page)).toEqual([]);
    });
  });

  it("has links of at least 24 px outside of sentences", async () => {
    await withPage("published", size(320), async (page) => {
      for (const link of await page.locator("nav a, summary").all())
        expect((await link.boundingBox())?.height).toBeGreaterThanOrEqual(24);
    });
  });

  it.each(["light", "dark"] as const)("prints on 3 to 4 white Letter pages: %s", async (colorScheme) => {
    await withPage("published", { ...size(1440), colorScheme }, async (page) => {
      const pdf = await page.pdf({ preferCSSPageSize: true, printBackground: true });
      const pages = pdf.toString("latin1").match(/\/Type\s*\/Page\b/g)?.length;
      expect(pages).toBeGreaterThanOrEqual(3);
      expect(pages).toBeLessThanOrEqual(4);
      expect(pdf.toString("latin1")).toMatch(/\/MediaBox\s*\[0 0 612 792\]/);
      await page.emulateMedia({ media: "print" });
      expect(await page.evaluate<unknown>("getComputedStyle(document.body).backgroundColor")).toBe(
        "rgb(255, 255, 255)",
      );
    });
  });
});
