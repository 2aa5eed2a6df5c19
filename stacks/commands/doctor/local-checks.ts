// Checks of this machine: Node.js, the datasets, the folder of `npm start` and the settings.
import { existsSync } from "node:fs";
import { access, constants, statfs } from "node:fs/promises";
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { folderError } from "../../../shared/local/disk.ts";
import { quantity } from "../../../shared/quantity.ts";
import { namesIn } from "../../local/env-file.ts";
import { localSettings } from "../../local/local-settings.ts";
import { type Check, type Finding, ok, problem, skipped, warning } from "./check.ts";

export type Machine = {
  nodeVersion: string;
  datasets: readonly Dataset[];
  /** The folder of `npm start`. */
  folder: string;
  /** The files with settings, such as .env. */
  envFiles: readonly string[];
  env: NodeJS.ProcessEnv;
  freeBytes?: (folder: string) => Promise<number>;
};

/** The version of the functions' runtime. */
const nodeMajor = "24";
const gibibyte = 1024 ** 3;
/** A run of 10,300 records writes some tens of megabytes, and earlier ones are kept. */
const leastFreeBytes = { problem: 0.1 * gibibyte, warning: gibibyte };

const ownVariables =
  "ALERT_ADDRESS ALERTS_WEBHOOK_URL AUDIENCE INSTANCES INSTANCE_CHECK_SECONDS LIBINSIGHT_BASE_URL LIBINSIGHT_CLIENT_ID LIBINSIGHT_CLIENT_SECRET LIBINSIGHT_TIMEOUT_MS QUERY_CHECK_SECONDS RETRY_BASE_SECONDS TABLEAU_API_VERSION TABLEAU_PAUSE_MS TABLEAU_REFRESH_TIMEOUT_MS TABLEAU_SITE TABLEAU_TIMEOUT_MS TABLEAU_TOKEN_NAME TABLEAU_TOKEN_SECRET TABLEAU_URL".split(
    " ",
  );
/** The variables of the AWS SDK, SST, Powertools, OpenTelemetry, Node.js and proxies. */
const otherVariables = /^(AWS|SST|POWERTOOLS|OTEL|NODE)_|^(https?|no)_proxy$/i;

export function localChecks(machine: Machine): Check[] {
  const { nodeVersion, datasets, folder, envFiles, env, freeBytes = freeBytesOf } = machine;
  return [
    {
      name: "Node.js",
      async run() {
        if (nodeVersion.startsWith(`${nodeMajor}.`)) return ok(`Version ${nodeVersion}.`);
        const fix = "Start the doctor with npm run doctor, which uses the pinned version.";
        return problem(`Version ${nodeVersion}; the functions run on ${nodeMajor}.`, fix);
      },
    },
    {
      // An invalid entry ends the doctor earlier (stacks/commands/doctor.ts).
      name: "shared/library.ts",
      run: async () =>
        ok(`${quantity(datasets.length, "valid dataset")}: ${datasets.map(({ name }) => name).join(", ")}.`),
    },
    { name: folder, run: () => checkFolder(folder, freeBytes) },
    ...envFiles.map((file) => ({ name: file, run: async () => checkEnvFile(file) })),
    {
      name: "settings",
      async run() {
        localSettings(env);
        return ok("The settings of npm start are valid.");
      },
    },
  ];
}

async function checkFolder(folder: string, freeBytes: (folder: string) => Promise<number>): Promise<Finding> {
  const place = existsSync(folder) ? folder : ".";
  try {
    await access(place, constants.W_OK);
    const free = await freeBytes(place);
    const saw = `Writable; ${(free / gibibyte).toFixed(1)} GiB are free on its disk.`;
    if (free >= leastFreeBytes.warning) return ok(saw);
    const fix = "Free at least 1 GiB. npm start keeps runs for 30 days and earlier published files for 90.";
    return free >= leastFreeBytes.problem ? warning(saw, fix) : problem(saw, fix);
  } catch (error) {
    throw folderError(error, folder);
  }
}

function checkEnvFile(file: string): Finding {
  const names = namesIn(file);
  if (names.length === 0) return skipped("The file does not exist or sets nothing. The defaults apply.");
  const unknown = names.filter((name) => !ownVariables.includes(name) && !otherVariables.test(name));
  if (unknown.length === 0) return ok(`Sets ${names.join(", ")}.`);
  const fix = `Correct the spelling or remove it. The pipeline reads ${ownVariables.join(", ")}.`;
  return warning(`Nothing reads ${unknown.join(", ")}.`, fix);
}

async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}
