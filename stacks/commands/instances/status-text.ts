// Instances as a person reads them.
import type { Goal, Needs } from "../../../services/ec2/needs.ts";
import type { Targets } from "../../../services/ec2/targets.ts";
import type { Instance } from "../../../shared/ports.ts";
import { age, plain, table } from "../text-table.ts";

export type InstanceAccount = {
  instanceId: string;
  state: string;
  /** When it was last started, ISO 8601 in UTC; missing where it is stopped. */
  runsSince?: string;
  /** Since when, by dataset or person; what was needed of an instance that was stopped elsewhere is over. */
  needs: Record<string, string>;
  /** What it was asked to do, and why that failed if it did. */
  goal?: Goal;
};

export function accountsOf(found: readonly Instance[], { instances }: Needs): InstanceAccount[] {
  return found.map(({ id, state, launchedAt }) => {
    const { needs = {}, goal } = instances[id] ?? {};
    const isUp = state === "pending" || state === "running";
    return {
      instanceId: id,
      state,
      ...(isUp && launchedAt && { runsSince: launchedAt.toISOString() }),
      needs: isUp || goal ? needs : {},
      ...(goal && { goal }),
    };
  });
}

export function statusText(
  accounts: readonly InstanceAccount[],
  refused: Targets["refused"],
  now: Date,
): string {
  const rows = accounts.map(({ instanceId, state, runsSince, needs, goal }) => [
    instanceId,
    state,
    runsSince === undefined ? "" : age(Math.max(now.getTime() - Date.parse(runsSince), 0) / 1_000),
    Object.keys(needs).join(", "),
    goal && goal.failed === undefined ? `be ${goal.state}` : "",
  ]);
  const shown = rows.length > 0 ? table(["instance", "state", "for", "needed by", "asked to"], rows) : "";
  const failed = accounts.flatMap(({ instanceId, goal }) =>
    goal?.failed === undefined ? [] : `${instanceId} did not get to be ${goal.state}. ${goal.failed}`,
  );
  return `${shown}${[...failed, ...refused.map(refusedText)].map((line) => `${plain(line)}\n`).join("")}`;
}

export function refusedText({ instanceId, reason }: Targets["refused"][number]): string {
  return instanceId === undefined ? reason : `${instanceId}: ${reason}`;
}
