// Checks of the AWS account, which a stage needs before its first deploy: Lambda's concurrency, the Glue Data Catalog, Lake
// Formation and the analysts' IAM user.
import {
  EntityNotFoundException,
  GetDatabaseCommand,
  GetTableCommand,
  type GlueClient,
} from "@aws-sdk/client-glue";
import { GetUserCommand, type IAMClient, NoSuchEntityException } from "@aws-sdk/client-iam";
import { GetAccountSettingsCommand, type LambdaClient } from "@aws-sdk/client-lambda";
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { count } from "../../../shared/quantity.ts";
import { queueNames, services } from "../../../shared/topology.ts";
import type { StageSettings } from "../../stage.ts";
import { allowed, type Check, type Finding, ok, problem, shell, skipped, warning } from "./check.ts";

/** Stands for every IAM principal. A database with it leaves permissions to IAM. */
const everyPrincipal = "IAM_ALLOWED_PRINCIPALS";

export function accountChecks(
  { glue, iam, lambda }: { glue: GlueClient; iam: IAMClient; lambda: LambdaClient },
  { athenaDatabase, existingAnalysts }: Pick<StageSettings, "athenaDatabase" | "existingAnalysts">,
  datasets: readonly Dataset[],
): Check[] {
  const database = async (Name: string) => {
    const call = () => glue.send(new GetDatabaseCommand({ Name }));
    return (await orMissing(allowed("glue:GetDatabase", call)))?.Database;
  };
  const checkDatabase = (name: string, creator: string): Check => ({
    name: `Glue database ${name}`,
    run: async () => ok((await database(name)) ? "Exists." : `Does not exist yet. ${creator} creates it.`),
  });
  return [
    { name: "Lambda concurrency", run: checkConcurrency },
    checkDatabase("default", "Athena's first query"),
    checkDatabase(athenaDatabase, "The first run"),
    { name: "Lake Formation", run: checkLakeFormation },
    ...(existingAnalysts === undefined
      ? []
      : [{ name: `IAM user ${existingAnalysts}`, run: () => checkUser(existingAnalysts) }]),
  ];

  async function checkConcurrency(): Promise<Finding> {
    const call = () => lambda.send(new GetAccountSettingsCommand());
    const { AccountLimit } = await allowed("lambda:GetAccountSettings", call);
    const limit = AccountLimit?.UnreservedConcurrentExecutions ?? 0;
    const needed = neededConcurrency();
    const saw = `The account's functions may run ${count(limit)} times at once, and the stage's ${needed} times.`;
    if (limit >= needed) return ok(saw);
    // Lambda returns a throttled message to its queue, which counts as a receive.
    return problem(
      `${saw} Throttled messages become dead letters.`,
      `Raise the quota "Concurrent executions". New accounts start with 10.\n${shell(
        "aws service-quotas request-service-quota-increase",
        "--service-code lambda --quota-code L-B99A9384 --desired-value 1000",
      )}`,
    );
  }

  async function checkLakeFormation(): Promise<Finding> {
    const own = await database(athenaDatabase);
    const found = own ?? (await database("default"));
    if (!found) return skipped("There is no database yet. Run the doctor again after the first run.");
    const isOpen = found.CreateTableDefaultPermissions?.some(
      ({ Principal }) => Principal?.DataLakePrincipalIdentifier === everyPrincipal,
    );
    const fix =
      "Let IAM decide again, or grant the permissions to the stage's roles and the analysts' user, as docs/deploy.md says.";
    if (!isOpen) {
      const saw = `Lake Formation governs new tables in ${found.Name}: ${everyPrincipal} has no default permission.`;
      return own ? problem(saw, fix) : warning(`${saw} The pipeline's database may get the same.`, fix);
    }
    for (const { publish } of own ? datasets : []) {
      const call = () =>
        glue.send(new GetTableCommand({ DatabaseName: athenaDatabase, Name: publish.table }));
      const response = await orMissing(allowed("glue:GetTable", call));
      if (!response?.Table?.IsRegisteredWithLakeFormation) continue;
      const saw = `The files of ${publish.table} are registered with Lake Formation.`;
      return warning(`${saw} Queries fail unless the location is in hybrid access mode.`, fix);
    }
    return ok(`IAM alone decides on new tables in ${found.Name}.`);
  }

  async function checkUser(UserName: string): Promise<Finding> {
    try {
      await allowed("iam:GetUser", () => iam.send(new GetUserCommand({ UserName })));
      return ok("Exists. The deploy attaches one policy to it.");
    } catch (error) {
      if (!(error instanceof NoSuchEntityException)) throw error;
      const fix = "Create it, or remove it from the stage's settings so that the stage creates its own user.";
      return problem("The user does not exist, so the deploy fails.", fix);
    }
  }
}

function orMissing<T>(call: Promise<T>): Promise<T | undefined> {
  return call.catch((error: unknown) => {
    if (error instanceof EntityNotFoundException) return undefined;
    throw error;
  });
}

/** Lambda starts with so many calls at once for a queue whose service sets no limit. https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html */
const initialConcurrency = 5;

/** Returns the number of calls at once for which the account must have room. */
export function neededConcurrency(): number {
  return queueNames.reduce((sum, name) => sum + (services[name].concurrency ?? initialConcurrency), 0);
}
