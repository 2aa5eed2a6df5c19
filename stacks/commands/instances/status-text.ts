// The status of instances, as text and as JSON.
import type { Goal, Needs } from "../../../services/ec2/needs.ts";
import type { Targets } from "../../../services/ec2/targets.ts";
import type { Instance } from "../../../shared/ports.ts";
import { age, plain, table } from "../text-table.ts";

export type InstanceAccount = {
  instanceId: string;
  state: string;
  /** When it was last started, ISO 8601 in UTC; missing if it is stopped. */
  runsSince?: string;
  /** Since when it is needed, by dataset or person. Empty if it was stopped elsewhere. */
  needs: Record<string, string>;
  /** Its desired state, until it has reached it, and why it failed if it did. */
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
    goal?.failed === undefined ? [] : `${instanceId} is not ${goal.state}. ${goal.failed}`,
  );
  return `${shown}${[...failed, ...refused.map(refusedText)].map((line) => `${plain(line)}\n`).join("")}`;
}

export function refusedText({ instanceId, reason }: Targets["refused"][number]): string {
  return instanceId === undefined ? reason : `${instanceId}: ${reason}`;
}
