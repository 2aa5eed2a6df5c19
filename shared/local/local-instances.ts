// Instances on this machine: rows of SQLite whose state changes at once. They run nothing.
import * as z from "zod/mini";
import type { Instance, Instances, Refused } from "../ports.ts";
import type { LocalDatabase } from "./sqlite.ts";

const row = z.object({
  id: z.string(),
  state: z.string(),
  launched: z.nullable(z.number()),
  tags: z.string(),
});
const tagsSchema = z.record(z.string(), z.string());

export class LocalInstances implements Instances {
  readonly #database: LocalDatabase;
  readonly #now: () => Date;

  constructor(database: LocalDatabase, now: () => Date = () => new Date()) {
    this.#database = database;
    this.#now = now;
  }

  /** Creates an instance, or replaces it. */
  async put(id: string, state: string, tags: Record<string, string>): Promise<void> {
    await this.#database.write(() => {
      this.#database
        .prepare("INSERT OR REPLACE INTO instance (id, state, launched, tags) VALUES (?, ?, ?, ?)")
        .run(id, state, state === "running" ? this.#now().getTime() : null, JSON.stringify(tags));
    });
  }

  /** Creates an instance unless it exists. */
  async putOnce(id: string, state: string, tags: Record<string, string>): Promise<void> {
    if (this.#all().every((instance) => instance.id !== id)) await this.put(id, state, tags);
  }

  async findTagged({ key, value }: { key: string; value: string }): Promise<Instance[]> {
    return this.#all().filter(({ tags, state }) => tags.get(key) === value && state !== "terminated");
  }

  start(id: string): Promise<Refused | undefined> {
    return this.#change(id, "running");
  }

  stop(id: string): Promise<Refused | undefined> {
    return this.#change(id, "stopped");
  }

  async #change(id: string, state: "running" | "stopped"): Promise<Refused | undefined> {
    const found = this.#all().find((instance) => instance.id === id);
    if (!found) return { refused: "InvalidInstanceID.NotFound" };
    if (found.state === "terminated") return { refused: "IncorrectInstanceState" };
    if (found.state === state) return undefined;
    await this.#database.write(() => {
      this.#database
        // A stopped instance keeps the time of its last start, as on EC2.
        .prepare("UPDATE instance SET state = ?, launched = coalesce(?, launched) WHERE id = ?")
        .run(state, state === "running" ? this.#now().getTime() : null, id);
    });
    return undefined;
  }

  #all(): Instance[] {
    return this.#database
      .prepare("SELECT id, state, launched, tags FROM instance ORDER BY id")
      .all()
      .map((each) => row.parse(each))
      .map(({ id, state, launched, tags }) => ({
        id,
        state,
        stateReason: undefined,
        launchedAt: launched === null ? undefined : new Date(launched),
        tags: new Map(Object.entries(tagsSchema.parse(JSON.parse(tags)))),
      }));
  }
}
