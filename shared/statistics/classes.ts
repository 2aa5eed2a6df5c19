// The classes of a dataset's answers: the kind of a question type, the group of a mode, and class sessions.
import { type Dataset, holdsSeveral } from "../dataset-schema.ts";
import { answerSeparator, type Kind, kinds, type Mode, modes } from "./rules.ts";

/** The classes of a column's answers, the first class first. */
export type Classes<Class extends string> = {
  /** The column's header. */
  header: string;
  order: readonly Class[];
  answers: Readonly<Record<Class, readonly string[]>>;
  /** Whether a cell can have several answers. */
  holdsSeveral: boolean;
};

/** Returns the classes of a dataset's question types, modes and locations; undefined for each that the entry does not declare. */
export function classesOf({
  columns,
  roles,
  statistics,
}: Pick<Dataset, "columns" | "roles" | "statistics">): {
  kind: Classes<Kind> | undefined;
  mode: Classes<Mode> | undefined;
  instruction: Classes<"instruction"> | undefined;
} {
  const classes = <Class extends string>(
    header: string | undefined,
    order: readonly Class[],
    answers: Readonly<Record<Class, readonly string[]>> | undefined,
  ): Classes<Class> | undefined => {
    const column = columns.find(({ name }) => name === header);
    if (!(column && "type" in column && answers)) return undefined;
    return { header: column.name, order, answers, holdsSeveral: holdsSeveral(column) };
  };
  const { instruction } = statistics ?? {};
  return {
    kind: classes(roles.questionType, kinds, statistics?.kinds),
    mode: classes(roles.mode, modes, statistics?.modes),
    instruction: instruction?.length ? classes(roles.location, ["instruction"], { instruction }) : undefined,
  };
}

/** Returns a function that returns the class of a cell, or null, and those of its answers that have no class. */
export function classifier<Class extends string>({
  order,
  answers,
  holdsSeveral,
}: Omit<Classes<Class>, "header">) {
  const classOf = new Map(order.flatMap((name) => answers[name].map((answer) => [answer, name] as const)));
  return (cell: string | null): { found: Class | null; unknown: string[] } => {
    if (cell === null) return { found: null, unknown: [] };
    const given = holdsSeveral ? cell.split(answerSeparator) : [cell];
    const classes = new Set(given.map((answer) => classOf.get(answer)));
    return {
      found: order.find((name) => classes.has(name)) ?? null,
      unknown: given.filter((answer) => !classOf.has(answer)),
    };
  };
}
