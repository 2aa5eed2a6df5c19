// The commands that keep the key of the pseudonyms and the names file.
import { chmod, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { defaultDataset } from "../../../shared/datasets.ts";
import { pseudonymKey } from "../../../shared/privacy/pseudonym.ts";
import { storeNamesFile } from "../../../stacks/commands/privacy/names.ts";
import { type RotateDeps, rotate, setSecret } from "../../../stacks/commands/privacy/rotate.ts";
import { localPseudonymKey, writePseudonymKey } from "../../../stacks/local/pseudonym-key.ts";
import { temporaryFolder } from "../../support/npm-start.ts";

const modeOf = async (file: string) => (await stat(file)).mode & 0o777;

describe("the key on this machine", () => {
  test("is created once, for its owner only", async () => {
    await using folder = await temporaryFolder();
    const key = localPseudonymKey(folder.path);
    expect(pseudonymKey(key).symmetricKeySize).toBe(32);
    expect(localPseudonymKey(folder.path).trim()).toBe(key);
    expect(await modeOf(join(folder.path, "pseudonym.key"))).toBe(0o600);
  });

  test("is replaced by another one, for its owner only", async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, "pseudonym.key");
    await writeFile(`${file}.draft`, "interrupted");
    await chmod(`${file}.draft`, 0o644);
    const key = writePseudonymKey(folder.path);
    expect(writePseudonymKey(folder.path)).not.toBe(key);
    expect(await readFile(file, "utf8")).toMatch(/^[0-9a-f]{64}\n$/);
    expect(await modeOf(file)).toBe(0o600);
  });
});

describe("rotate", () => {
  const command = { verb: "rotate", dryRun: false, yes: true, json: false } as const;

  /** Returns what a rotation prints, and the secrets that it sets. */
  async function rotated(
    given: Partial<typeof command | { dryRun: boolean; yes: boolean }>,
    deps: Partial<RotateDeps>,
  ) {
    await using folder = await temporaryFolder();
    const before = writePseudonymKey(folder.path);
    const secrets: string[][] = [];
    const asked: string[] = [];
    const text = await rotate(
      { ...command, ...given },
      {
        stage: undefined,
        folder: folder.path,
        setSecret: async (...secret) => {
          secrets.push(secret);
        },
        isConfirmed: async (question) => {
          asked.push(question);
          return false;
        },
        ...deps,
      },
    );
    return { text, secrets, asked, isReplaced: localPseudonymKey(folder.path).trim() !== before };
  }

  test("replaces the key on this machine", async () => {
    const { text, secrets, asked, isReplaced } = await rotated({}, {});
    expect({ secrets, asked, isReplaced }).toEqual({ secrets: [], asked: [], isReplaced: true });
    expect(text).toMatch(/^Replaced the key of the pseudonyms on this machine\. Every pseudonym changes/);
    expect(text).not.toMatch(/[0-9a-f]{64}|deploy/);
  });

  test("sets the secret of a stage, and prints nothing of it", async () => {
    const { text, secrets, isReplaced } = await rotated({}, { stage: "ada" });
    expect(secrets).toEqual([["PseudonymKey", expect.stringMatching(/^[0-9a-f]{64}$/), "ada"]]);
    expect(isReplaced).toBe(false);
    expect(text).toMatch(/of the stage ada\..* Deploy the stage now: npx sst deploy --stage ada\n$/);
    expect(text).not.toMatch(/[0-9a-f]{64}/);
  });

  test("replaces nothing in a dry run or without a yes", async () => {
    const dry = await rotated({ dryRun: true, yes: false }, {});
    expect(dry).toMatchObject({
      asked: [],
      isReplaced: false,
      text: expect.stringMatching(/^Would replace/),
    });
    const declined = await rotated({ yes: false }, { stage: "ada" });
    expect(declined).toMatchObject({ secrets: [], isReplaced: false, text: "Nothing was replaced.\n" });
    expect(declined.asked).toEqual([
      expect.stringMatching(/\nReplace the key .* of the stage ada\? \[y\/N\] $/),
    ]);
    expect((await rotated({ yes: false }, { isConfirmed: async () => true })).isReplaced).toBe(true);
  });

  test("gives the value to SST on its standard input only", async () => {
    await using folder = await temporaryFolder();
    const [program, seen] = [join(folder.path, "sst"), join(folder.path, "seen")];
    await writeFile(program, `#!/bin/sh\necho "$@" > ${seen}\nenv >> ${seen}\ncat > ${seen}.in\n`, {
      mode: 0o700,
    });
    await setSecret("PseudonymKey", "planted", "ada", program);
    expect(await readFile(`${seen}.in`, "utf8")).toBe("planted\n");
    const others = await readFile(seen, "utf8");
    expect(others).toMatch(/^secret set PseudonymKey --stage ada\n/);
    expect(others).not.toMatch(/planted|^npm_/m);
  });

  test.each(["#!/bin/sh\nexit 3\n", "not a program"])("fails if SST fails: %j", async (script) => {
    await using folder = await temporaryFolder();
    const program = join(folder.path, "sst");
    await writeFile(program, script, { mode: script.startsWith("#") ? 0o700 : 0o600 });
    await expect(setSecret("PseudonymKey", "planted", "ada", program)).rejects.toMatchObject({
      name: "SecretNotSet",
      sentence: expect.not.stringContaining("planted"),
    });
  });
});

test("names are stored for the next publication", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "names.txt");
  await writeFile(file, "Ash Calloway\nDoe, Jane\n");
  const stored: unknown[] = [];
  const put = async (...object: unknown[]) => {
    stored.push(object);
    return "etag";
  };
  const target = { work: () => Object.assign(Object.create(null), { put }) };
  const command = { verb: "names", file, dataset: defaultDataset, json: false } as const;
  expect(await storeNamesFile(command, target)).toBe(
    `Stored 2 names for ${defaultDataset.name}. The next publication redacts them.\n`,
  );
  expect(stored).toEqual([
    [`privacy/${defaultDataset.name}/names.txt`, "Ash Calloway\nDoe, Jane\n", "text/plain; charset=utf-8"],
  ]);
  expect(JSON.parse(await storeNamesFile({ ...command, json: true }, target))).toEqual({
    dataset: defaultDataset.name,
    names: 2,
  });

  await writeFile(file, "a\n".repeat(600_000));
  await expect(storeNamesFile(command, target)).rejects.toMatchObject({ name: "NamesInvalid" });
  const missing = { ...command, file: join(folder.path, "missing") };
  await expect(storeNamesFile(missing, target)).rejects.toMatchObject({ name: "FileUnreadable" });
});
