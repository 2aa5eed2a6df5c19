// What the answers of a dataset mean for statistics: the kind of each question type and the group of each mode. A
// library declares both once (`statistics` in library.ts). The measures and every survey count by them.
import * as z from "zod/mini";

/**
 * The kinds that the definitions of the surveys distinguish (docs/statistics.md). A record with answers of several kinds
 * is of the first one: a contact counts once.
 * - `consultation`: help by appointment, one-to-one or in a small group
 * - `walk-in consultation`: the same help without an appointment
 * - `reference`: staff know, use, recommend, interpret or teach information sources
 * - `equipment`: help with equipment or software for academic work
 * - `service`: circulation and other services without information sources
 * - `directional`: locations, hours, policies, and help with machines that teaches nothing
 */
export const kinds = [
  "consultation",
  "walk-in consultation",
  "reference",
  "equipment",
  "service",
  "directional",
] as const;
export type Kind = (typeof kinds)[number];

/** A record with answers of both groups was in person. */
export const modes = ["in person", "virtual"] as const;
export type Mode = (typeof modes)[number];

const answers = z._default(z.array(z.string().check(z.minLength(1))), []);

/** `statistics` of a dataset's entry. */
export const statisticsRules = z.strictObject({
  /** The answers of `roles.questionType` by kind. */
  kinds: z.strictObject({
    consultation: answers,
    "walk-in consultation": answers,
    reference: answers,
    equipment: answers,
    service: answers,
    directional: answers,
  }),
  /** The answers of `roles.mode` by group. */
  modes: z.strictObject({ "in person": answers, virtual: answers }),
  /** The answers of `roles.location` that stand for a class session. */
  instruction: answers,
});

/** Separates the answers of a cell. */
export const answerSeparator = "; ";
