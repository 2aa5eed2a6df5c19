// Numbers in texts for people, with thousands separators. Stored and JSON numbers have none.

/** Returns `10,412`. */
export function count(n: number): string {
  return n.toLocaleString("en-US");
}

/** Returns `1 row` or `10,412 rows`. */
export function quantity(n: number, noun: string): string {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}
