// Runs Terraform in a folder that keeps the installed provider.
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { provider, providerSchemas, type ResourceSchemas, type terraformOf } from "./terraform-json.ts";

const folder = join(process.cwd(), ".cache", "terraform");

/** Downloading the provider takes the longest. It has some 700 megabytes. */
const timeoutMs = 10 * 60_000;
/** The provider's schema has 14 megabytes. */
const maxBuffer = 100 * 1024 * 1024;

/**
 * Pulumi's provider in SST 4.17.1 is made from version 6. Version 5.100 already has every property that the stacks use, so an
 * offline machine may have it.
 */
const requirements = {
  terraform: { required_providers: { aws: { source: "hashicorp/aws", version: ">= 5.100.0, < 7.0.0" } } },
};

const selections = z.object({ provider_selections: z.object({ [provider]: z.string() }) });

const validation = z.object({
  valid: z.boolean(),
  diagnostics: z.array(
    z.object({
      severity: z.string(),
      summary: z.string(),
      detail: z.string().default(""),
      address: z.string().optional(),
    }),
  ),
});
export type Diagnostic = z.infer<typeof validation>["diagnostics"][number];

/** Returns whether the program `terraform` exists. */
export function hasTerraform(): boolean {
  return spawnSync("terraform", ["version"], { stdio: "ignore" }).status === 0;
}

/**
 * Installs the AWS provider and returns the schemas of its resources. TERRAFORM_PLUGIN_DIR may name a folder with providers
 * for a machine that cannot reach Terraform's registry.
 */
export function installProvider(): { schemas: ResourceSchemas; version: string } {
  mkdirSync(folder, { recursive: true });
  write({});
  const pluginDir = process.env.TERRAFORM_PLUGIN_DIR;
  terraform("init", "-input=false", "-no-color", ...(pluginDir ? [`-plugin-dir=${pluginDir}`] : []));
  const { provider_selections } = selections.parse(JSON.parse(terraform("version", "-json")));
  const { provider_schemas } = providerSchemas.parse(JSON.parse(terraform("providers", "schema", "-json")));
  return { schemas: provider_schemas[provider].resource_schemas, version: provider_selections[provider] };
}

/** Runs `terraform validate`. @returns its errors and warnings */
export function validate(configuration: Partial<ReturnType<typeof terraformOf>>): Diagnostic[] {
  write(configuration);
  const { stdout } = run(["validate", "-json"]);
  return validation.parse(JSON.parse(stdout)).diagnostics;
}

function write(configuration: object): void {
  writeFileSync(join(folder, "main.tf.json"), JSON.stringify({ ...requirements, ...configuration }));
}

function terraform(...args: string[]): string {
  const { status, stdout, stderr } = run(args);
  if (status !== 0) {
    const offline = "If this machine cannot reach registry.terraform.io, set TERRAFORM_PLUGIN_DIR.";
    throw new Error(`terraform ${args[0]} failed:\n${stderr}\n${args[0] === "init" ? offline : ""}`);
  }
  return stdout;
}

function run(args: string[]) {
  return spawnSync("terraform", args, {
    cwd: folder,
    encoding: "utf8",
    timeout: timeoutMs,
    maxBuffer,
    env: { ...process.env, CHECKPOINT_DISABLE: "1", TF_IN_AUTOMATION: "1" },
  });
}
