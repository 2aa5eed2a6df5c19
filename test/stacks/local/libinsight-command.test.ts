// `npm run libinsight` as a person runs it.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { bearerIn, pageIn, send } from "./libinsight-client.ts";

const program = "stacks/local/libinsight.ts";

test.each(["SIGINT", "SIGTERM"] as const)(
  "it prints how to reach it, responds, and ends on %s with exit code 0",
  async (signal) => {
    const flags = ["--records", "30", "--page-size", "10", "--fault", "status,status=503,endpoint=token"];
    const child = spawn(process.execPath, [program, ...flags], {
      stdio: ["ignore", "pipe", "inherit"],
      timeout: 20_000,
      killSignal: "SIGKILL",
    });
    const exited = once(child, "exit");
    try {
      const printed = new Map<string, string>();
      let curl = "";
      for await (const line of createInterface({ input: child.stdout })) {
        const [name = "", value = ""] = line.split("=");
        printed.set(name, value);
        curl = line;
        if (line.startsWith("curl")) break;
      }
      const body = new URLSearchParams({
        grant_type: "client_credentials",
        client_id: printed.get("LIBINSIGHT_CLIENT_ID") ?? "",
        client_secret: printed.get("LIBINSIGHT_CLIENT_SECRET") ?? "",
      });
      const token = () => send(`${printed.get("LIBINSIGHT_BASE_URL")}/oauth/token`, { method: "POST", body });
      expect((await token()).status).toBe(503);
      const authorization = await bearerIn(await token());
      const [page = ""] = /http\S+data-grid[^"]+/.exec(curl) ?? [];
      const response = await send(page, { headers: { authorization } });
      expect((await pageIn(response)).records).toHaveLength(10);
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
