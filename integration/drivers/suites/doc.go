// Package suites runs the drivers' own test suites against a server and against Berth in front of it, and compares the
// results, test by test.
//
// A suite is a directory here with a script, run, that obtains the suite and runs it (lib.sh says how it is called), a
// file setup.sql of what the suite expects to find in its database, where it expects anything, and a file accepted of
// the differences that are accepted, with the reason for each. No suite is in the repository: each comes from its
// language's registry, at a pinned version, or, where the registry does not carry the tests, from a directory that the
// user gives.
//
// A suite runs in three ways: directly; through Berth with a pool as it is usually configured; and in paranoid mode,
// where each statement that does not pin goes to another backend than the one before. A difference is a test that ends in another way
// than directly. The suite is then run once more in both ways: a test is unsteady if it now ends like directly, or if it ended
// otherwise in the two direct runs; that is printed and is no difference.
//
// The file accepted may only shrink: a line that a run does not need, which it concerns, fails the test, unless a test of the line failed directly, too.
package suites
