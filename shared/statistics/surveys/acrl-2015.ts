// ACRL's survey with the definitions of 2015, in which a walk-up is never a consultation.
import { defineSurvey } from "../survey.ts";

export const acrl2015 = defineSurvey({
  name: "acrl-2015",
  title: "ACRL Academic Library Trends and Statistics",
  edition: "definitions of 2015",
  period: {
    text: "The latest 12 months that end before October 1 of the survey's year. Read for 2015 in ACRL Insider",
    endsBefore: "10-01",
  },
  lines: {
    transactions: {
      title: "Transactions",
      number: "66",
      definition:
        "Contacts in which staff know, use, recommend, interpret or teach information sources. A contact that is also directional counts once; a directional contact does not count",
      text: { official: false, readIn: "the copy of the CUNY libraries for 2014-2015" },
      footnote: "Walk-in consultations are transactions in this edition",
      sources: ["https://guides.cuny.edu/c.php?g=184919&p=2766131"],
    },
    consultations: {
      title: "Consultations",
      definition:
        "Scheduled help, one-to-one or in a small group, outside a class, in any medium. Archives count. Walk-ups never count",
      text: { official: false, readIn: "the blog Liaison Life of September 17, 2015" },
      footnote:
        "The line's number was not seen. If an answer of the kind consultation is also given for walk-ups, the value is too high",
      sources: ["https://liaisonlife.wordpress.com/2015/09/17/acrl_def_consultation/"],
    },
  },
  kinds: {
    consultation: "consultations",
    "walk-in consultation": "transactions",
    reference: "transactions",
    equipment: { excluded: "only the definitions of 2022 name equipment and software" },
    service: { excluded: "uses no information sources" },
    directional: { excluded: "the definition leaves directional contacts out" },
  },
});
