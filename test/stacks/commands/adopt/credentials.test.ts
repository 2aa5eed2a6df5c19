// The questions for a LibInsight, and the file that keeps the answers.
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { parseEnv } from "node:util";
import fc from "fast-check";
import { expect, test } from "vitest";
import { askForLibInsight, baseUrlOf } from "../../../../stacks/commands/adopt/credentials.ts";
import { askSecretly } from "../../../../stacks/commands/command-line.ts";
import { addToEnvFile } from "../../../../stacks/local/env-file.ts";
import { startLibInsight } from "../../../../stacks/local/libinsight.ts";
import { temporaryFolder } from "../../../support/npm-start.ts";

function answering(...answers: string[]) {
  const asked: string[] = [];
  const ask = async (text: string) => {
    asked.push(text.slice(text.lastIndexOf("\n") + 1));
    return answers.shift() ?? "";
  };
  return { asked, questions: { ask, askSecretly: ask } };
}

test("accepted credentials are added to .env, which only its owner can read", async () => {
  await using folder = await temporaryFolder();
  await using server = await startLibInsight({
    records: 0,
    credentials: { clientId: "id", clientSecret: "a b#'c" },
  });
  const file = join(folder.path, ".env");
  await writeFile(file, "# mine\nTABLEAU_SITE=library", { mode: 0o644 });
  const { asked, questions } = answering(new URL(server.baseUrl).origin, "id", "a b#'c");
  const stored = await askForLibInsight(questions, file);
  expect(asked).toEqual([
    "Address of your LibInsight, such as vt.libinsight.com (Enter for the simulation): ",
    "Client ID: ",
    "Client secret (not shown): ",
  ]);
  const text = await readFile(file, "utf8");
  expect(text.startsWith("# mine\nTABLEAU_SITE=library\n")).toBe(true);
  expect(parseEnv(text)).toEqual({ TABLEAU_SITE: "library", ...stored });
  expect(stored).toEqual({
    LIBINSIGHT_BASE_URL: server.baseUrl,
    LIBINSIGHT_CLIENT_ID: "id",
    LIBINSIGHT_CLIENT_SECRET: "a b#'c",
  });
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await readdir(folder.path)).toEqual([".env"]);
});

test("Enter means the simulation, and refused credentials are not stored", async () => {
  await using folder = await temporaryFolder();
  await using server = await startLibInsight({ records: 0 });
  const file = join(folder.path, ".env");
  expect(await askForLibInsight(answering("").questions, file)).toBeUndefined();
  const { questions } = answering(server.baseUrl, "simulated-client", "MARKED");
  await expect(askForLibInsight(questions, file)).rejects.toMatchObject({
    name: "LibInsightCredentialsRefused",
    sentence: expect.not.stringContaining("MARKED"),
  });
  expect(await readdir(folder.path)).toEqual([]);
});

test("an address may be a site's name, a host or a URL, and secrets are sent by https only", () => {
  for (const address of [
    "vt",
    "vt.libinsight.com",
    "https://vt.libinsight.com/",
    "https://vt.libinsight.com/v1.0/",
    "https://vt.libinsight.com/admin/home",
  ])
    expect(baseUrlOf(address)).toBe("https://vt.libinsight.com/v1.0");
  expect(baseUrlOf("http://127.0.0.1:8080")).toBe("http://127.0.0.1:8080/v1.0");
  for (const address of ["http://vt.libinsight.com", "two words", "https://"])
    expect(() => baseUrlOf(address)).toThrow("is not an https address");
});

test("any value on one line is read as it was added", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, ".env");
  const value = fc.string({
    minLength: 1,
    unit: fc.constantFrom("a", " ", "#", "=", "$", "\\", '"', "'", "é", "n"),
  });
  await fc.assert(
    fc.asyncProperty(value, async (secret) => {
      await writeFile(file, "");
      addToEnvFile({ SECRET: secret }, file);
      expect(parseEnv(await readFile(file, "utf8"))).toEqual({ SECRET: secret });
    }),
  );
  expect(() => addToEnvFile({ SECRET: "a\"b'c`d #" }, file)).toThrow("has characters that");
});

test("nothing of a secret answer is shown", async () => {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const answer = askSecretly("Secret: ", { input, output });
  for (const key of "MARKED\r") input.write(key);
  expect(await answer).toBe("MARKED");
  expect(String(output.read())).toBe("Secret: \n");
});
