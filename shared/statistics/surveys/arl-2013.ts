// ARL's survey of 2013-14, in which help by appointment is reference. No later definition was found.
import { defineSurvey } from "../survey.ts";

export const arl2013 = defineSurvey({
  name: "arl-2013",
  title: "ARL Statistics",
  edition: "instructions of 2013-14",
  period: { text: "The library's fiscal year" },
  lines: {
    "reference-transactions": {
      title: "Reference transactions",
      number: "16",
      definition:
        "Contacts that use staff's knowledge of information sources, including referrals. E-mail, forms and chat count. A mixed contact counts once, however long it is. Simple directional questions do not count",
      text: {
        official: true,
        readIn:
          "ARL Statistics 2006-2007, 2008-2009 and 2013-2014; the page of 2013-2014 was seen only up to the beginning of question 16",
      },
      footnote:
        "Scheduled help is reference at ARL, so consultations are included. ARL lets a library scale a typical week to a year; this value is not scaled. ARL prefers the main campus; name included branches in a footnote",
      sources: [
        "https://publications.arl.org/ARL-Statistics-2013-2014/68",
        "https://publications.arl.org/ARL-Statistics-2008-2009/103",
        "https://publications.arl.org/ARL-Statistics-2006-2007/97",
      ],
    },
  },
  kinds: {
    consultation: "reference-transactions",
    "walk-in consultation": "reference-transactions",
    reference: "reference-transactions",
    equipment: { excluded: "the text that was read does not name equipment" },
    service: { excluded: "uses no information sources" },
    directional: { excluded: "the definition leaves simple directional questions out" },
  },
});
