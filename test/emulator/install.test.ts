// Tests the output of `npm run test:emulator` if a requirement is missing.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

test("without Python, prints the missing requirements and how to install them, in one line", () => {
  const { status, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, "install.ts")], {
    encoding: "utf8",
    env: { PATH: "/nowhere" },
  });
  expect(status).toBe(1);
  expect(stderr).toMatch(
    /^npm run test:emulator requires openssl, and Python 3\.10 or later .*apt install .*\n$/,
  );
});
