// ACRL's survey with the definitions of March 2022, in which a walk-up may be a consultation.
import { defineSurvey } from "../survey.ts";

export const acrl2022 = defineSurvey({
  name: "acrl-2022",
  title: "ACRL Academic Library Trends and Statistics",
  edition: "definitions revised on March 3, 2022",
  period: {
    text: "The latest 12 months that end before October 1 of the survey's year. Read for 2015 in ACRL Insider and for 2018 in a library's copy",
    endsBefore: "10-01",
  },
  lines: {
    transactions: {
      title: "Transactions",
      number: "64",
      definition:
        "Contacts in which staff know, use, recommend, interpret or teach information sources, including equipment and software for academic projects. Any medium, such as chat. A contact that is also directional counts once; a directional contact does not count",
      text: {
        official: false,
        readIn: "the copy of Spokane Community College Library, revised on March 3, 2022",
      },
      footnote: "The number is that of an undated copy with this text; the form of 2022 was not seen",
      sources: [
        "https://libguides.scc.spokane.edu/acrlrefdefinitions",
        "https://guides.cuny.edu/c.php?g=1102005&p=8035781",
        "https://apps.pcj.edu/library-statistics/",
      ],
    },
    consultations: {
      title: "Consultations",
      number: "65",
      definition:
        "Help that is often scheduled, away from a class or a service point, and that needs preparation or experience. Any medium. A referred walk-up may count, however short",
      text: {
        official: false,
        readIn: "the copies of Spokane Community College Library and Lincoln Memorial University",
      },
      footnote: "The number is that of an undated copy with this text; the form of 2022 was not seen",
      sources: [
        "https://libguides.scc.spokane.edu/acrlrefdefinitions",
        "https://library.lmunet.edu/internal/home",
        "https://apps.pcj.edu/library-statistics/",
      ],
    },
  },
  kinds: {
    consultation: "consultations",
    "walk-in consultation": "consultations",
    reference: "transactions",
    equipment: "transactions",
    service: { excluded: "uses no information sources" },
    directional: { excluded: "the definition leaves directional contacts out" },
  },
});
