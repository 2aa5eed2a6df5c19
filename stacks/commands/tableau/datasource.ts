// A data source file for Tableau (.tds): it opens Tableau on a dataset's analysis view, with every column named, typed and
// explained. It holds no credentials; Tableau asks for them.
//
// Tableau documents no such file, and its schemas leave connections' attributes open
// (https://github.com/tableau/tableau-document-schemas). So it is made after files that Tableau wrote:
// - datasource, named-connection, relation, column: tdvt/samples/tds/cast_calcs.postgres_jdbc.tds in
//   https://github.com/tableau/connector-plugin-sdk
// - desc: test/assets/datasource_test.tds in https://github.com/tableau/document-api-python
// - class, server, dbname (the catalog) and schema (the database) of Athena: https://github.com/PrigasG/twbparser, and
//   https://github.com/bryanthowell-tableau/tableau_tools/issues/46
// No public file shows what Tableau calls staging folder and workgroup. Should it not know the names below, it leaves them
// alone and asks for the folder; driverProperties names the workgroup too.
//
// metadata-records are left out: Tableau reads types from the driver, and a wrong code in them is worse than none.
import { analysisColumns, declaredColumns } from "../../../services/athena/columns.ts";
import type { ColumnNames } from "../../../services/athena/names.ts";
import type { ColumnType } from "../../../shared/column-types.ts";
import { type Dataset, viewNames } from "../../../shared/dataset-schema.ts";
import { document, element, text } from "./xml.ts";

/** Where Tableau finds a view in Athena, and what it needs to ask there. */
export type AthenaPlace = {
  region: string;
  database: string;
  workgroup: string;
  /** `s3://bucket/folder/` for the queries' results. */
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

/**
 * The text of the file.
 * @param known names that headers have got where the file is published
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
  const columns = fieldsOf(dataset, known).map(
    ({ caption, datatype, name: column, role, type, description }) =>
      element("column", { caption, datatype, name: `[${column}]`, role, type }, [
        element("desc", {}, [element("formatted-text", {}, [text("run", description)])]),
      ]),
  );
  return document(
    element("datasource", { "formatted-name": dataset.name, inline: "true", version: "18.1" }, [
      federated,
      element("aliases", { enabled: "yes" }),
      ...columns,
    ]),
  );
}

/**
 * The file `athena.properties`, by which Tableau's driver asks in the workgroup. It stands in "My Tableau
 * Repository/Datasources" and holds for all of that Tableau's connections to Athena.
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
  // The views have a time as text.
  time: { datatype: "string", role: "dimension", type: "nominal" },
  boolean: { datatype: "boolean", role: "dimension", type: "nominal" },
};

/** The columns of the analysis view, in its order. */
export function fieldsOf(dataset: Dataset, known?: ColumnNames): Field[] {
  const declared = declaredColumns(dataset, known);
  const labels = new Map(
    declared.filter(({ personal }) => !personal).map(({ name, header }) => [name, header]),
  );
  return analysisColumns(declared, dataset).map(({ name, type, comment }) => {
    const label = labels.get(name);
    // Sums of ids, years and hours mean nothing.
    const counts = label !== undefined && label !== "_id";
    return {
      name,
      caption: label ?? captionOf(name),
      description: comment,
      ...kinds[type],
      ...(type === "integer" && !counts ? ({ role: "dimension", type: "ordinal" } as const) : {}),
    };
  });
}

/** Of a part of the date, which has no label: `fiscal_year` as `Fiscal year`. */
function captionOf(name: string): string {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
