import fc from "fast-check";
import { expect, test } from "vitest";
import * as z from "zod/mini";
import { parseJson, rawNumberText } from "../../shared/json.ts";

/** Parses JSON and writes it again. */
const written = (text: string) => JSON.stringify(parseJson(text));

test.each([
  "9007199254740993",
  "-9007199254740993",
  "12345678901234567890",
  "0.1234567890123456789",
  "3.00000000000000000001",
  "1e400",
  "-1E+400",
  "1e-400",
  "123456789.123456789e-3",
])("keeps the text of the number %s", (text) => {
  expect(rawNumberText(parseJson(text))).toBe(text);
  expect(written(`{"a":[${text},1]}`)).toBe(`{"a":[${text},1]}`);
});

test.each([
  ["0", 0],
  ["-0", -0],
  ["1.50", 1.5],
  ["1e3", 1000],
  ["1E-7", 1e-7],
  ["100000000000000000000", 1e20],
  ["0.1000000000000000000000", 0.1],
  ["0.30000000000000004", 0.30000000000000004],
  ["9007199254740991", Number.MAX_SAFE_INTEGER],
  ["1.7976931348623157e308", Number.MAX_VALUE],
  ["5e-324", Number.MIN_VALUE],
  ["0e999", 0],
  ["0.0000000000000000000000", 0],
])("parses %s, which a JavaScript number represents, to a number", (text, number) => {
  expect(parseJson(text)).toBe(number);
  expect(rawNumberText(number)).toBeUndefined();
});

test.each([
  ['{"a":1,"a":2,"a":3}', '{"a":1,"a (2)":2,"a (3)":3}'],
  ['{"a":1,"a":2,"a (2)":3}', '{"a":1,"a (3)":2,"a (2)":3}'],
  ['{"a (2)":1,"a":2,"a":3}', '{"a (2)":1,"a":2,"a (3)":3}'],
  ['{"a":1,"\\u0061":2}', '{"a":1,"a (2)":2}'],
  ['{"":1,"":2}', '{"":1," (2)":2}'],
  ['{"__proto__":1,"__proto__":{"b":2}}', '{"__proto__":1,"__proto__ (2)":{"b":2}}'],
  ['[{"a":{"b":1,"b":2}},{"a":1}]', '[{"a":{"b":1,"b (2)":2}},{"a":1}]'],
  [' { "a" : [ ] , "a" : { } } \n', '{"a":[],"a (2)":{}}'],
])("keeps all values of the repeated names in %s", (text, expected) => {
  expect(written(text)).toBe(expected);
});

test("treats __proto__ as any other name, also next to a long number", () => {
  for (const text of ['{"__proto__":{"a":1}}', '{"__proto__":{"a":1},"n":9007199254740993}']) {
    const value = parseJson(text);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Object.getOwnPropertyDescriptor(value, "__proto__")?.value).toEqual({ a: 1 });
  }
});

test.each([
  "",
  " ",
  "{",
  "[1,]",
  '{"a":1,}',
  "[1] // no",
  "[/* */1]",
  "01",
  "1.",
  "+1",
  "NaN",
  "'a'",
  '{"a":1,"a"}',
])("refuses %j like JSON.parse", (text) => {
  expect(() => parseJson(text)).toThrow(SyntaxError);
});

test("parses deep nesting and a million quotes, zeros or equal names without a stack overflow or a delay", () => {
  const depth = 100_000;
  let value = parseJson(`${'{"a":'.repeat(depth)}1e400${"}".repeat(depth)}`);
  for (let level = 0; level < depth; level++) [value] = Object.values(Object(value));
  expect(rawNumberText(value)).toBe("1e400");
  const quotes = `["${'\\"'.repeat(1_000_000)}",1e400]`;
  expect(written(quotes)).toBe(quotes);
  const zeros = `[1${"0".repeat(1_000_000)}1]`;
  expect(written(zeros)).toBe(zeros);
  const labels = `{${Array.from({ length: 100_000 }, () => '"a":1').join()}}`;
  expect(Object.keys(Object(parseJson(labels)))).toHaveLength(100_000);
});

const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.constantFrom('"', "\\", '\\"', "{:,[1e99", "__proto__", "1"),
);

test("parses JSON without long numbers and repeated names like JSON.parse", () => {
  const anyJson = fc.jsonValue({ stringUnit: "binary" });
  fc.assert(
    fc.property(anyJson, fc.constantFrom(undefined, 1, "\t"), (value, indent) => {
      const json = JSON.stringify(value, null, indent);
      expect(parseJson(json)).toStrictEqual(JSON.parse(json));
      // A long number next to it selects the slower parser.
      const [beside] = z.tuple([z.unknown(), z.unknown()]).parse(parseJson(`[${json},1e400]`));
      expect(beside).toStrictEqual(JSON.parse(json));
    }),
    { numRuns: 300 },
  );
});

/** Returns a number in units of 10^-1000. */
function scaled(number: string): bigint {
  const parts = /^(-?\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/.exec(number) ?? [];
  const [, whole = "", fraction = "", power = "0"] = parts;
  return BigInt(whole + fraction) * 10n ** BigInt(1_000 + Number(power) - fraction.length);
}

test("keeps every member of an object and the value of every number", () => {
  const label = fc.oneof(text, fc.constantFrom("a", "a (2)", "a (3)"));
  const whole = fc.oneof(fc.bigInt(), fc.bigInt({ min: -99n, max: 99n }));
  const number = fc
    .tuple(whole, fc.nat(), fc.integer({ min: -400, max: 400 }))
    .map(([whole, fraction, power]) => `${whole}.${fraction}e${power}`);
  fc.assert(
    fc.property(fc.array(fc.tuple(label, number), { minLength: 1 }), (members) => {
      const json = members.map(([label, number]) => `${JSON.stringify(label)}:${number}`);
      const kept = new Map(
        Object.entries(Object(parseJson(`{${json.join()}}`))).map(([label, value]) => [
          label,
          scaled(rawNumberText(value) ?? String(value)),
        ]),
      );
      for (const [label, number] of new Map(members.toReversed())) {
        expect(kept.get(label)).toBe(scaled(number));
      }
      const values = (numbers: Iterable<bigint>) => Array.from(numbers, String).sort();
      expect(values(kept.values())).toEqual(values(members.map(([, number]) => scaled(number))));
    }),
    { numRuns: 500 },
  );
});
