// What `npm run test:emulator` prints where something is missing.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

test("without Python it fails and says in one line what is missing and how to get it", () => {
  const { status, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, "install.ts")], {
    encoding: "utf8",
    env: { PATH: "/nowhere" },
  });
  expect(status).toBe(1);
  expect(stderr).toMatch(
    /^npm run test:emulator needs openssl, and Python 3\.10 or later .*apt install .*\n$/,
  );
});
