// Defines the form of the simulated dataset: its fields, their answers, and texts of comments. All of it is invented,
// including the people.
import type { NonEmpty, Weighted } from "./random.ts";

export const questionTypes: Weighted<string> = [
  ["Directional", 26],
  ["Technology / Printing", 22],
  ["Quick Reference", 20],
  ["Research Consultation", 14],
  ["Circulation & Reserves", 9],
  ["Policy, hours, access", 5],
  ['Studio / "Maker" Equipment', 4],
];

export type Place = { name: string; studio: boolean; classroom: boolean };
export const locations: Weighted<Place> = [
  [{ name: "Main Library - 2nd Floor Desk", studio: false, classroom: false }, 52],
  [{ name: "Main Library - Studios", studio: true, classroom: false }, 14],
  [{ name: "Art + Architecture Library", studio: false, classroom: false }, 11],
  [{ name: "Veterinary Medicine Library", studio: false, classroom: false }, 6],
  [{ name: "Northern Campus Resource Center", studio: false, classroom: false }, 3],
  [{ name: "Classroom / Instruction", studio: false, classroom: true }, 5],
  [{ name: "Online", studio: false, classroom: false }, 9],
];

export const patrons: Weighted<string> = [
  ["Undergraduate Student", 55],
  ["Graduate Student", 21],
  ["Faculty", 9],
  ["Staff", 5],
  ["Visitor / Community Member", 7],
  ["Alumni", 2],
  ["Unknown", 1],
];

export const modes: Weighted<string> = [
  ["In person", 68],
  ["Chat", 12],
  ["E-mail", 9],
  ["Phone", 7],
  ["Zoom", 4],
];

export const onlineModes: Weighted<string> = [
  ["Chat", 55],
  ["E-mail", 30],
  ["Zoom", 15],
];

export const roles: Weighted<string> = [
  ["Student Assistant", 48],
  ["Staff", 30],
  ["Librarian", 22],
];

export const employees: NonEmpty<string> = [
  "Ash Calloway",
  "Bea Lindqvist",
  "Chidi O'Rourke",
  "Dana Whitfield",
  "Émile Tran",
  "Farah Nuñez",
  "Gus Pemberton",
  "Hana Kowalczyk",
  "Ines D'Angelo",
  "Jun Abernathy",
];

/** Shared desk accounts and personal accounts. */
export const accounts: NonEmpty<string> = [
  "Desk Student",
  "Studios Desk",
  "Art Library Desk",
  "calloway_a",
  "lindqvist_b",
  "o'rourke_c",
  "whitfield_d",
  "tran_e",
];

export const classrooms: NonEmpty<string> = [
  "Room 101",
  "Room 207A",
  "Room 207B",
  "Multipurpose Room",
  "Zoom class",
];

export const topics: NonEmpty<string> = [
  "Agriculture",
  "Architecture",
  "Biology",
  "Business & Marketing",
  "Chemistry",
  "Citation, copyright, fair use",
  "Computer Science",
  "Data Management",
  "Education",
  "Engineering",
  "English/Composition",
  "GIS / Maps",
  "History",
  "Psychology",
  "Statistics",
  "Veterinary Medicine",
];

export const studios: NonEmpty<string> = [
  "3D Design",
  "Data Visualization",
  "Fusion",
  "Media Design",
  "Prototyping",
  "Virtual Environments",
];

export const affiliations: Weighted<string> = [
  ["Engineering", 30],
  ["Liberal Arts & Human Sciences", 19],
  ["Science", 17],
  ["Business", 13],
  ["Agriculture & Life Sciences", 10],
  ["Architecture, Arts, and Design", 7],
  ["Veterinary Medicine", 3],
  ["Not affiliated", 1],
];

/** `{topic}` is a subject, `{n}` a small number. */
export const comments: NonEmpty<string> = [
  "Patron asked where the {n}th floor study rooms are.",
  "Printer on 2nd floor was jammed again; called IT.",
  "Helped student find peer-reviewed articles on {topic}.",
  "Couldn't find the book on the shelf, placed a hold instead.",
  "Showed how to use the catalog and request through ILL.",
  "Student needed help w/ citations (APA 7th ed.) for a paper in {topic}.",
  "Didn't know how to connect to the wifi, walked them through it.",
  "Asked about hours during finals week.",
  "Lost & found: water bottle, black; kept at desk until Friday.",
  "Needed a charger. We're out of USB-C, lent Lightning.",
  "Faculty wants a class session on {topic}, {n} students, sent to the liaison.",
  "Large-format print, {n} posters @ 24x36, paid with card.",
  'Was looking for "The Elements of Style", 4th ed.',
  'Professor said "use at least {n} scholarly sources", showed databases for {topic}.',
  "Restroom?",
  "Directions to the bus stop",
  "Scanner wouldn't send to e-mail, used USB stick.",
  "Alum w/o ID wanted to use a public computer, gave guest pass.",
  "Asked how to reserve a room. Room was double-booked so I moved them to {n}10.",
  "Consultation on systematic review in {topic}; follow-up scheduled in {n} weeks.",
  "Phone call: is the library open on Saturday? Yes, 10-6.",
  "Looking for data on {topic} by county; census.gov, then ICPSR.",
  "3D print failed at {n}0%, restarted, it'll be ready tomorrow.",
  "Microfilm request -> sent to Special Collections.",
];

/** Texts that break naive CSV and SQL code, as people write them. */
export const awkwardComments: NonEmpty<string> = [
  "Thanks so much!! 😊",
  "Student loved the VR demo 🎉👩‍💻 will come back",
  "Files are on \\\\share\\scans\\box{n}\\",
  "Path is C:\\Users\\desk\\Documents\\{topic}.docx",
  'Escaped a quote as \\" in the R script, that was the bug',
  '"Is this the "quiet" floor?" - no, the 4th is',
  "Room\t207A\t{n} chairs",
  "call number\tQA76.{n}\tmissing",
  "Asked for Garc\u00eda M\u00e1rquez, \u201cCien a\u00f1os de soledad\u201d \u2013 checked out",
  "=SUM(A1:A{n}) gave #REF!, showed how to fix it",
  "Comments; with, all - kinds | of 'separators' <b>and</b> tags & more",
];

/** People that comments name. */
export const people: NonEmpty<string> = [
  "Maya Okafor",
  "Tobias Lindgren",
  "Priya Venkataraman",
  "Luis Caballero",
  "Harper Nakamura",
  "Ingrid Solheim",
  "Kwame Asante",
  "Zo\u00eb Marchetti",
  "Declan Whitmore",
  "Noor Haddad",
  "Bronwyn Teague",
  "Mateo Villareal",
];

/** `{email}`, `{phone}` and `{person}` are invented, `{n}` is a small number. */
export const personalComments = {
  email: [
    "Scan was too large for the form, send it to {email} instead.",
    "Follow up w/ {email} on Monday.",
    "Left a message, reply to {email} please.",
    "Patron's address is {email}, wants to know when the hold arrives.",
    "ILL request bounced, correct e-mail: {email}",
  ],
  phone: [
    "Call back at {phone} when the book is in.",
    "Left a voicemail, {phone}.",
    "Prefers a text: {phone}",
    "Alumni office transferred the call, her number is {phone}.",
    "Fax the article to {phone} ({n} pages).",
  ],
  person: [
    "{person} will pick it up at the desk.",
    "Consultation with {person}, second of {n}.",
    "{person} forgot an ID card at the printer.",
    "Met w/ {person} about the thesis, sent links afterwards.",
    "Fines of {person} waived, see the note in Alma.",
  ],
} satisfies Record<string, NonEmpty<string>>;

/** `{first}` and `{last}` are the names of a person in lower case and ASCII. The domains are reserved (RFC 2606). */
export const emails: NonEmpty<string> = [
  "{first}.{last}@example.edu",
  "{first}{last}{n}@example.com",
  "{last}-{first}@example.org",
  "{first}_{last}+library@example.edu",
];

/** The numbers 555-0100 to 555-0199 are reserved for fiction. */
export const phones: NonEmpty<string> = [
  "555-01{n}{n}",
  "(540) 555-01{n}{n}",
  "540-555-01{n}{n}",
  "+1 540.555.01{n}{n}",
];

/** Finds all personal data that comments contain. No other text of a comment matches. */
export const personalData = {
  email: /[\w.+-]+@example\.(?:com|edu|org)\b/,
  phone: /\b555[-.]01\d\d\b/,
  person: new RegExp(people.join("|")),
} satisfies Record<keyof typeof personalComments, RegExp>;

export type Field = {
  name: string;
  type: "text" | "number" | "date" | "time" | "datetime" | "select" | "multi-select";
  options?: string[];
};

const answers = (values: Weighted<string>) => values.map(([value]) => value);

/** The form's fields in the order of a record's keys, after the built-in `_id`, `_start_date` and `_entered_by`. */
export const fields: readonly Field[] = [
  { name: "Question Type", type: "multi-select", options: answers(questionTypes) },
  { name: "Duration (in minutes)", type: "number" },
  { name: "Comments/Notes", type: "text" },
  { name: "Location", type: "select", options: locations.map(([place]) => place.name) },
  { name: "who", type: "select", options: answers(patrons) },
  { name: "mode", type: "select", options: answers(modes) },
  { name: "answeredBy", type: "select", options: answers(roles) },
  { name: "classroom", type: "select", options: [...classrooms] },
  { name: "topic", type: "multi-select", options: [...topics] },
  { name: "research", type: "select", options: [...topics] },
  { name: "walkins", type: "number" },
  { name: "employee", type: "select", options: [...employees] },
  { name: "studio", type: "multi-select", options: [...studios] },
  { name: "affiliation", type: "select", options: answers(affiliations) },
  { name: "scans", type: "number" },
  { name: "reformat", type: "number" },
];
