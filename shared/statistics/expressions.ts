// The class of a row's answers as an expression, in Trino's SQL and in Tableau's formulas. Pure functions.
import type { Classes } from "./classes.ts";
import { answerSeparator } from "./rules.ts";

export type Dialect = {
  /** The words before the first condition and before each further one. */
  first: string;
  next: string;
  /** Returns a condition: whether a column has an answer among several. @param answer literal with separators */
  contains(column: string, answer: string): string;
};

export const trino: Dialect = {
  first: "CASE WHEN",
  next: "WHEN",
  contains: (column, answer) =>
    `strpos('${answerSeparator}' || ${column} || '${answerSeparator}', ${answer}) > 0`,
};

/** https://help.tableau.com/current/pro/desktop/en-us/functions_functions_logical.htm */
export const tableau: Dialect = {
  first: "IF",
  next: "ELSEIF",
  contains: (column, answer) =>
    `CONTAINS('${answerSeparator}' + ${column} + '${answerSeparator}', ${answer})`,
};

/** Returns an expression for the class of a column's cell: null if no answer has one. @param column as the dialect writes it */
export function classExpression<Class extends string>(
  { order, answers, holdsSeveral }: Omit<Classes<Class>, "header">,
  column: string,
  dialect: Dialect,
): string {
  const branches = order
    .filter((name) => answers[name].length > 0)
    .map((name) => {
      const conditions = answers[name].map((answer) =>
        holdsSeveral
          ? dialect.contains(column, literal(`${answerSeparator}${answer}${answerSeparator}`))
          : `${column} = ${literal(answer)}`,
      );
      return `${conditions.join(" OR ")} THEN ${literal(name)}`;
    });
  return `${dialect.first} ${branches.join(` ${dialect.next} `)} END`;
}

/** Both dialects double a quote inside a text. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
