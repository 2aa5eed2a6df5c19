// Runs property tests with the same seed for every mutant, without shrinking. The time limit ends a slow property before the
// timeout of its test, which would count as a kill.
import fc from "fast-check";

fc.configureGlobal({ seed: 1, endOnFailure: true, interruptAfterTimeLimit: 5_000 });
