// Package postgres is Berth's engine for PostgreSQL: frontend/backend protocol 3.0 and 3.2 towards clients, whatever of
// the two a server offers towards databases.
//
// Its blocking half logs in: [Engine.Accept] is a server's side of the start-up (TLS, protocol negotiation, SCRAM, md5,
// cancel requests), [Engine.Dial] a client's, [Engine.Probe] and [Engine.Cancel] use the latter. Its relaying half is a
// machine for each session, which [Engine.Accept] makes and the core's loop drives.
//
// # Words
//
//   - start-up parameter: a name and value of the start-up packet. All but user and database are settings; in canonical
//     form they are the Options of a key, so that only sessions that started alike share backends, and RESET means the
//     same on each of them. The server itself judges them, when a backend is dialed.
//   - reported parameter: a name and value of a ParameterStatus.
//   - base: what triggers on logins and the init query have set on a backend, with which every session begins there.
//   - verifier: what SCRAM or md5 checks a password against.
//
// # Invariants
//
// Nothing is read of a client beyond its login, and nothing that came in clear is taken for encrypted. Lengths are checked
// before anything is allocated. Before a client has proved who it is, it cannot tell an unknown user from a wrong password.
// What a client sees never names a backend's address.
//
// # Goroutines
//
// The methods of [Engine] may be called from any goroutine; its caches have their own locks. A machine, and the state of the
// backend that it holds, belong to the goroutine of the session's loop. The state of an idle backend belongs to the loop that
// has it.
//
// Section numbers in comments are those of the PostgreSQL 18 manual.
package postgres
