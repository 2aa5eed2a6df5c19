// Makes the property tests the same for every mutant, and ends them at the first counterexample: a mutant needs no
// smaller one.
import fc from "fast-check";

fc.configureGlobal({ seed: 1, endOnFailure: true });
