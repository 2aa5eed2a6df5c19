// The information requests of NISO Z39.7, fifth edition (2013).
import { defineSurvey } from "../survey.ts";

export const nisoZ39Edition2013 = defineSurvey({
  name: "niso-z39.7-2013",
  title: "NISO Z39.7 Library Statistics",
  edition: "fifth edition, 2013",
  period: { text: "The library's fiscal year. The standard's own text about periods was not seen" },
  lines: {
    "information-requests": {
      title: "Information requests",
      number: "7.3",
      definition:
        "Contacts that use staff's knowledge of information sources, including referrals. What staff already knew counts. A mixed contact counts once. Locations, schedules and help with equipment that teaches nothing are directional and do not count",
      text: {
        official: false,
        readIn: "NISO's draft from before 2013 and Duquesne University's copy of the edition of 2013",
      },
      footnote: "No later status of the standard was found",
      sources: [
        "http://www.niso.org/dictionary/section7/",
        "https://guides.library.duq.edu/c.php?g=703554&p=4993859",
      ],
    },
  },
  kinds: {
    consultation: "information-requests",
    "walk-in consultation": "information-requests",
    reference: "information-requests",
    equipment: { excluded: "the text that was read names only help with equipment that teaches nothing" },
    service: { excluded: "uses no information sources" },
    directional: { excluded: "the definition leaves directional contacts out" },
  },
});
