// Reads the field list of a custom or shared dataset. Its shape is not public, so every part may be missing or another
// one, and what is not understood is skipped.

export type FormField = {
  /** LibInsight's id of the field, which a rename keeps. Undefined if the list has none. */
  id: string | number | undefined;
  label: string;
  /** As LibInsight names it, in lower case; empty if it does not. */
  type: string;
  /** The answers that a person can choose; empty for other fields. */
  options: string[];
};

/** A record may have at most 1,000 fields (limits.ts), and a field with more options is no closed field. */
const most = { fields: 1_000, options: 1_000 };

/** Returns the fields in the order of the list; none if the response has no list. @param body of the response */
export function fieldsOf(body: unknown): FormField[] {
  const payload = memberOf(body, "payload") ?? body;
  const list = memberOf(payload, "fields") ?? payload;
  return membersOf(list)
    .slice(0, most.fields)
    .flatMap(([key, value]) => {
      const own = isIndex(key) ? textOf(value) : membersOf(value).length > 0 ? key : undefined;
      const label = firstText(value, ["label", "name", "title"]) ?? own;
      if (label === undefined) return [];
      const id = memberOf(value, "id") ?? (isIndex(key) && !Array.isArray(list) ? key : undefined);
      const type = memberOf(value, "type");
      const options = ["options", "values", "choices", "answers"].map((name) => memberOf(value, name));
      return [
        {
          id: typeof id === "number" || (typeof id === "string" && id !== "") ? id : undefined,
          label,
          type: (textOf(type) ?? firstText(type, ["name", "label", "type"]) ?? "").toLowerCase(),
          options: optionsOf(options.find((found) => typeof found === "object" && found !== null)),
        },
      ];
    });
}

function optionsOf(list: unknown): string[] {
  const texts = membersOf(list)
    .slice(0, most.options)
    .map(([, value]) => textOf(value) ?? firstText(value, ["label", "name", "title", "value", "text"]) ?? "");
  return [...new Set(texts.filter((text) => /\S/.test(text)))];
}

/** Returns the members of a list or a map by their index or name. */
function membersOf(list: unknown): [key: string, value: unknown][] {
  return typeof list === "object" && list !== null ? Object.entries(list) : [];
}

function memberOf(value: unknown, name: string): unknown {
  return membersOf(value).find(([key]) => key === name)?.[1];
}

/** Returns the first of these members that is a text, or an empty text if all texts are blank. */
function firstText(value: unknown, names: readonly string[]): string | undefined {
  const texts = names.map((name) => textOf(memberOf(value, name))).filter((text) => text !== undefined);
  return texts.find((text) => /\S/.test(text)) ?? texts[0];
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
}

function isIndex(key: string): boolean {
  return /^\d+$/.test(key);
}
