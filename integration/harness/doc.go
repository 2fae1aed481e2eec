// Package harness is what integration tests, the demonstration and the benchmarks stand on: real database servers, the
// berth binary as a child process, and clients of their own process that can be killed.
//
// Words: a [Server] is a database server that scripts/db started; an [Endpoint] is an address to log in to, a server's
// or a proxy's; a [Proxy] is a running berth; a [Client] is a process that holds connections until it is killed; a
// [Watch] counts a user's connections at the server while it runs.
//
// The servers of [Shared] are one set for everybody: they are started by whoever asks first, keep running when the
// process ends, and belong to no test, so that a test uses tables of its own and changes no server setting. A test that
// must break a server, or needs settings, starts its own with [Start]. scripts/integration stops the shared ones.
//
// A [Remote] is a machine whose network can be cut, for a test that is [Isolated].
//
// Nothing here skips: what is missing fails the test with what to do about it.
//
// Environment:
//
//	BERTH_TEST_DIR        where servers and binaries are (/tmp/berth-test-UID); every parent must be open to nobody
//	BERTH_TEST_PORT_BASE  the shared servers' ports follow from it (24100: 24110, 24115, 24118, 24197)
//	BERTH_BINARY          a berth to test instead of building one
//	BERTH_RACE            not empty: build it with the race detector
package harness
