// Tests `npm run libinsight` as a process.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { parseEnv } from "node:util";
import { expect, test } from "vitest";
import { bearerIn, send } from "./libinsight-client.ts";

// An empty map may be null.
const isDefined = (value: unknown) => value !== undefined;

const program = "stacks/local/libinsight.ts";

test.each([
  ["SIGINT", "records", "data-grid", { payload: { records: { length: 10 } } }],
  ["SIGTERM", "gate-count", "overview", { payload: { libraries: expect.anything() } }],
  ["SIGTERM", "e-resources", "overview", { payload: { overview_by_platforms: expect.toSatisfy(isDefined) } }],
] as const)(
  "it prints its settings and an example request, responds, and exits 0 on %s, with %s",
  async (signal, kind, endpoint, expected) => {
    const fault = "status,status=503,endpoint=token";
    const flags = ["--kind", kind, "--records", "1000", "--page-size", "10", "--fault", fault];
    const child = spawn(process.execPath, [program, ...flags], {
      stdio: ["ignore", "pipe", "inherit"],
      timeout: 20_000,
      killSignal: "SIGKILL",
    });
    const exited = once(child, "exit");
    try {
      const printed: string[] = [];
      for await (const line of createInterface({ input: child.stdout })) {
        printed.push(line);
        if (line.endsWith(`/${endpoint}`)) break;
      }
      const settings = parseEnv(printed.join("\n"));
      const body = new URLSearchParams({
        grant_type: "client_credentials",
        client_id: settings.LIBINSIGHT_CLIENT_ID ?? "",
        client_secret: settings.LIBINSIGHT_CLIENT_SECRET ?? "",
      });
      const token = () => send(`${settings.LIBINSIGHT_BASE_URL}/oauth/token`, { method: "POST", body });
      expect((await token()).status).toBe(503);
      const authorization = await bearerIn(await token());
      const example = printed.slice(printed.findLastIndex((line) => line.startsWith("curl"))).join(" ");
      const query = Array.from(example.matchAll(/ -d (\S+)/g), ([, parameter]) => parameter).join("&");
      const response = await send(`${printed.at(-1)?.trim()}?${query}`, { headers: { authorization } });
      expect(await response.json()).toMatchObject({ type: "success", ...expected });
    } finally {
      child.kill(signal);
    }
    expect(await exited).toEqual([0, null]);
  },
);

test("a usage error prints one sentence and the help command, and exits 2", () => {
  const ended = spawnSync(process.execPath, [program, "--fault", "hang,mood=bad"], { encoding: "utf8" });
  expect(ended).toMatchObject({ status: 2, stdout: "" });
  expect(ended.stderr).toMatch(
    /^Option '--fault <fault>' .*"mood"\.\nRun "npm run libinsight -- --help"\.\n$/,
  );
});
