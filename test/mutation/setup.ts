// Makes the property tests the same for every mutant, and ends them at the first counterexample: a mutant needs no
// smaller one. A property that is slow on a busy machine ends before the tests' own limit, which would count as a kill.
import fc from "fast-check";

fc.configureGlobal({ seed: 1, endOnFailure: true, interruptAfterTimeLimit: 5_000 });
