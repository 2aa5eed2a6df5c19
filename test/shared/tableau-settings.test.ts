import { expect, test } from "vitest";
import { PipelineError } from "../../shared/errors.ts";
import { tableauEnvironment, tableauSettings } from "../../shared/tableau-settings.ts";

const whole = { TABLEAU_URL: "https://10ay.online.tableau.com", TABLEAU_TOKEN_NAME: "refresh from pipeline" };

test("returns no settings if no variable is set", () => {
  expect(tableauSettings({})).toBeUndefined();
  const empty = { TABLEAU_URL: "", TABLEAU_SITE: "", TABLEAU_API_VERSION: "", TABLEAU_TOKEN_NAME: "" };
  expect(tableauSettings(empty)).toBeUndefined();
});

test("requires only the address and the token's name, and has defaults for the site and the API version", () => {
  expect(tableauSettings(whole)).toEqual({
    url: "https://10ay.online.tableau.com",
    site: "",
    apiVersion: "3.21",
    tokenName: "refresh from pipeline",
  });
  expect(
    tableauSettings({ ...whole, TABLEAU_SITE: "vt-library_1", TABLEAU_API_VERSION: "3.8" }),
  ).toMatchObject({ site: "vt-library_1", apiVersion: "3.8" });
});

test("returns the variables of settings, without empty ones", () => {
  for (const env of [{}, whole, { ...whole, TABLEAU_SITE: "library", TABLEAU_API_VERSION: "3.8" }]) {
    const again = tableauEnvironment(tableauSettings(env));
    expect(tableauSettings(again)).toEqual(tableauSettings(env));
    expect(Object.values(again)).not.toContain("");
  }
  expect(tableauEnvironment(undefined)).toEqual({});
});

test.each([
  ["https://tableau.example.edu/", "https://tableau.example.edu"],
  ["https://tableau.example.edu:8443", "https://tableau.example.edu:8443"],
  ["http://127.0.0.1:8080", "http://127.0.0.1:8080"],
  ["http://localhost", "http://localhost"],
  ["http://[::1]:80", "http://[::1]"],
])("accepts the address %s", (url, origin) => {
  expect(tableauSettings({ ...whole, TABLEAU_URL: url })).toMatchObject({ url: origin });
});

test.each([
  ["TABLEAU_URL", "tableau.example.edu/MARKED"],
  ["TABLEAU_URL", "http://MARKED.example.edu"],
  ["TABLEAU_URL", "http://127.0.0.1.MARKED.edu"],
  ["TABLEAU_URL", "ftp://MARKED.example.edu"],
  ["TABLEAU_URL", "https://MARKED:secret@tableau.example.edu"],
  ["TABLEAU_URL", "https://tableau.example.edu/#/site/MARKED/home"],
  ["TABLEAU_URL", "https://tableau.example.edu/MARKED"],
  ["TABLEAU_URL", "https://tableau.example.edu/?MARKED"],
  ["TABLEAU_SITE", "https://MARKED"],
  ["TABLEAU_SITE", "MARKED library"],
  ["TABLEAU_API_VERSION", "vMARKED"],
  ["TABLEAU_API_VERSION", "3.21/../MARKED"],
  ["TABLEAU_TOKEN_NAME", "MARKED\nname"],
])("refuses %s = %s with the name of the setting and without its value", (variable, value) => {
  expect(refusal({ ...whole, [variable]: value })).toContain(`${variable} is invalid: use `);
  expect(refusal({ ...whole, [variable]: value })).not.toContain("MARKED");
});

test.each([
  [{ TABLEAU_URL: whole.TABLEAU_URL }, "Set TABLEAU_TOKEN_NAME too."],
  [{ TABLEAU_TOKEN_NAME: "name" }, "Set TABLEAU_URL too."],
  [{ TABLEAU_SITE: "site" }, "Set TABLEAU_URL and TABLEAU_TOKEN_NAME too."],
])("refuses %j and names the missing settings", (env, missing) => {
  expect(refusal(env)).toContain(missing);
  expect(refusal(env)).toContain("To run without Tableau, unset TABLEAU_URL");
});

/** Returns the error's text. */
function refusal(env: NodeJS.ProcessEnv): string {
  try {
    tableauSettings(env);
  } catch (error) {
    if (error instanceof PipelineError && error.name === "TableauHalfConfigured") return error.sentence;
    throw error;
  }
  return "no error";
}
