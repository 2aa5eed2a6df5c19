// The command `npm run test:terraform`: runs the tests in this folder, or prints one line if Terraform is missing.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { hasTerraform } from "./terraform.ts";

if (hasTerraform()) {
  const vitest = join("node_modules", ".bin", "vitest");
  const config = join("test", "terraform", "vitest.config.ts");
  const { status } = spawnSync(process.execPath, [vitest, "run", "--config", config], { stdio: "inherit" });
  process.exitCode = status ?? 1;
} else {
  process.stdout.write("npm run test:terraform is skipped, because Terraform is not installed.\n");
}
