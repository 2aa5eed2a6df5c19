// Makes a Tableau data source file (.tds), which opens a dataset's analysis view in Tableau with every column's label, type
// and meaning. It holds no credentials; Tableau asks for them.
//
// Tableau does not document the format, and its schemas allow any attributes of a connection
// (https://github.com/tableau/tableau-document-schemas). So the file follows examples that Tableau wrote:
// - datasource, named-connection, relation, column: tdvt/samples/tds/cast_calcs.postgres_jdbc.tds in
//   https://github.com/tableau/connector-plugin-sdk
// - calculation, desc: test/assets/datasource_test.tds in https://github.com/tableau/document-api-python
// - class, server, dbname (the catalog) and schema (the database) of Athena: https://github.com/PrigasG/twbparser, and
//   https://github.com/bryanthowell-tableau/tableau_tools/issues/46
// No public file shows Tableau's attributes for the staging folder and the workgroup. Tableau ignores attributes that it does
// not know and asks for the folder; athena.properties has the workgroup too.
//
// metadata-records are left out: Tableau reads the types from the driver, and a wrong code in them would override those.
import { analysisColumns } from "../../../services/athena/columns.ts";
import type { ColumnNames } from "../../../shared/column-names.ts";
import type { ColumnType } from "../../../shared/column-types.ts";
import { type Dataset, viewNames } from "../../../shared/dataset-schema.ts";
import { type Classes, classesOf } from "../../../shared/statistics/classes.ts";
import { classExpression, tableau } from "../../../shared/statistics/expressions.ts";
import { measuresOf } from "../../../shared/statistics/measures.ts";
import { declaredColumns } from "../../../shared/table-columns.ts";
import { document, element, text } from "./xml.ts";

/** The settings of Tableau's connection to Athena. */
export type AthenaPlace = {
  region: string;
  database: string;
  workgroup: string;
  /** Folder of the queries' results, `s3://bucket/folder/`. */
  staging: string;
};

/** A column as Tableau shows it. */
export type Field = {
  name: string;
  caption: string;
  description: string;
  datatype: "string" | "integer" | "real" | "datetime" | "date" | "boolean";
  role: "dimension" | "measure";
  type: "nominal" | "ordinal" | "quantitative";
};

/** A field that Tableau computes. A formula names fields in brackets. */
export type CalculatedField = Field & { formula: string };

/**
 * Returns the content of the data source file.
 * @param known the column names that the headers already have on the stage
 */
export function datasourceOf(dataset: Dataset, place: AthenaPlace, known?: ColumnNames): string {
  const view = viewNames(dataset.publish.table).analysis;
  const server = `athena.${place.region}.amazonaws.com`;
  const name = `athena.${dataset.name}`;
  const connection = element("connection", {
    class: "athena",
    dbname: "AwsDataCatalog",
    port: "443",
    "s3-staging-dir": place.staging,
    schema: place.database,
    server,
    workgroup: place.workgroup,
  });
  const federated = element("connection", { class: "federated" }, [
    element("named-connections", {}, [element("named-connection", { caption: server, name }, [connection])]),
    element("relation", {
      connection: name,
      name: view,
      table: `[${place.database}].[${view}]`,
      type: "table",
    }),
  ]);
  const columnOf = ({ caption, datatype, name: column, role, type, description }: Field, formula: string[]) =>
    element("column", { caption, datatype, name: `[${column}]`, role, type }, [
      ...formula.map((text) => element("calculation", { class: "tableau", formula: text })),
      element("desc", {}, [element("formatted-text", {}, [text("run", description)])]),
    ]);
  const columns = [
    ...fieldsOf(dataset, known).map((field) => columnOf(field, [])),
    ...calculatedFieldsOf(dataset, known).map((field) => columnOf(field, [field.formula])),
  ];
  return document(
    element("datasource", { "formatted-name": dataset.name, inline: "true", version: "18.1" }, [
      federated,
      element("aliases", { enabled: "yes" }),
      ...columns,
    ]),
  );
}

/**
 * Returns the content of `athena.properties`, which sets the workgroup of Tableau's driver. In "My Tableau
 * Repository/Datasources" it applies to all connections of that Tableau to Athena.
 * https://help.salesforce.com/s/articleView?id=001456683
 */
export function driverProperties({ workgroup }: AthenaPlace): string {
  return `Workgroup=${workgroup}\n`;
}

const kinds: Record<ColumnType, Pick<Field, "datatype" | "role" | "type">> = {
  text: { datatype: "string", role: "dimension", type: "nominal" },
  integer: { datatype: "integer", role: "measure", type: "quantitative" },
  number: { datatype: "real", role: "measure", type: "quantitative" },
  timestamp: { datatype: "datetime", role: "dimension", type: "ordinal" },
  date: { datatype: "date", role: "dimension", type: "ordinal" },
  // The views have times as text.
  time: { datatype: "string", role: "dimension", type: "nominal" },
  boolean: { datatype: "boolean", role: "dimension", type: "nominal" },
};

/** Returns the columns of the analysis view, in its order. */
export function fieldsOf(dataset: Dataset, known?: ColumnNames): Field[] {
  const declared = declaredColumns(dataset, known);
  const labels = new Map(
    declared.filter(({ personal }) => !personal).map(({ name, header }) => [name, header]),
  );
  return analysisColumns(declared, dataset).map(({ name, type, comment }) => {
    const label = labels.get(name);
    // Tableau would sum measures, and a sum of ids, years or hours means nothing.
    const isMeasure = label !== undefined && label !== "_id";
    return {
      name,
      caption: label ?? captionOf(name),
      description: comment,
      ...kinds[type],
      ...(type === "integer" && !isMeasure ? ({ role: "dimension", type: "ordinal" } as const) : {}),
    };
  });
}

/** Returns the classes of the answers and the measures as calculated fields; none if the entry declares no statistics. */
export function calculatedFieldsOf(dataset: Dataset, known?: ColumnNames): CalculatedField[] {
  const { kind, mode, instruction } = classesOf(dataset);
  if (!kind || !mode) return [];
  const names = new Map(declaredColumns(dataset, known).map(({ header, name }) => [header, name]));
  const fieldOf = (header: string | undefined) => `[${names.get(header ?? "") ?? ""}]`;
  const expression = (classes: Classes<string>) => classExpression(classes, fieldOf(classes.header), tableau);
  const [kindField, modeField] = ["Calculation_kind", "Calculation_mode"];
  const dimension = { datatype: "string", role: "dimension", type: "nominal" } as const;
  return [
    {
      ...dimension,
      name: kindField,
      caption: "Kind of question",
      description: `The kind of ${kind.header} that the measures count by`,
      formula: expression(kind),
    },
    {
      ...dimension,
      name: modeField,
      caption: "In person or virtual",
      description: `The group of ${mode.header}`,
      formula: expression(mode),
    },
    ...measuresOf(dataset).map(({ name, title, unit, definition, formula }) => ({
      name: `Calculation_${name}`,
      caption: title,
      description: `${definition} (${unit})`,
      datatype: unit === "records" || unit === "units" ? ("integer" as const) : ("real" as const),
      role: "measure" as const,
      type: "quantitative" as const,
      formula: formula({
        id: "[_id]",
        kind: `[${kindField}]`,
        instruction: instruction ? `NOT ISNULL(${expression(instruction)})` : "FALSE",
        minutes: fieldOf(dataset.roles.minutes),
        quantity: fieldOf(dataset.roles.quantity),
        answered: `${fieldOf(kind.header)} <> ''`,
      }),
    })),
  ];
}

/** Returns the caption of a part of the date, which has no label: `Fiscal year` for `fiscal_year`. */
function captionOf(name: string): string {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
