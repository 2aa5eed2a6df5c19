// Records of LibInsight for the default dataset, with every declared field.

export type FactoryRecord = Record<string, unknown>;

/** Returns a valid record. `undefined` leaves out a field. */
export function recordOf(id: number, given: FactoryRecord = {}): FactoryRecord {
  const record: FactoryRecord = {
    _id: id,
    _start_date: "2023-05-01 09:30:00",
    _entered_by: "Desk Account",
    "Question Type": ["Directional"],
    "Duration (in minutes)": 5,
    "Comments/Notes": "asked the way",
    Location: ["Newman Library"],
    who: ["Undergraduate"],
    mode: ["In person"],
    answeredBy: ["Student"],
    classroom: "",
    topic: ["History"],
    research: "",
    walkins: "",
    employee: ["Employee 1"],
    studio: [],
    affiliation: ["Arts"],
    scans: "",
    reformat: "",
    ...given,
  };
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));
}

/** Returns records with the ids from `first` to `last`. */
export function recordsOf(first: number, last: number): FactoryRecord[] {
  return Array.from({ length: last - first + 1 }, (_, index) => recordOf(first + index));
}
