// Package mysql speaks the MySQL client/server protocol, version 10, for one target group of MySQL or MariaDB servers.
//
// # Two halves
//
// The blocking half logs in on both sides ([Engine.Accept], [Engine.Dial]) and does the core's errands on connections
// of its own ([Engine.Probe], [Engine.Cancel]). It reads packets of exactly the length they announce, never ahead.
// The relaying half is one machine per session; see package engine for who may call it.
//
// # Words
//
//   - packet: a header of 4 bytes (length and sequence id) and its payload.
//   - greeting, response: the first packet of the server (Protocol::HandshakeV10) and the client's answer
//     (Protocol::HandshakeResponse41).
//   - method: how a client proves its password, an authentication plugin in MySQL's words.
//   - proof: what a client sends to show that it knows the password.
//   - capabilities: the flags that greeting and response negotiate. What is agreed with a client and what is agreed
//     with a backend differ; the machine converts. The few that cannot be converted are part of [engine.Key].
//
// # What clients see
//
// The greeting has the version of the group's own servers, which a probe found out, so that a MariaDB client finds
// MariaDB and a MySQL client finds MySQL. Compression is never offered, nor are optional result set metadata and
// MariaDB's extended capabilities but for those of extended metadata and bulk operations. Clients log in with caching_sha2_password or mysql_native_password, as the user's
// credential says; because the proxy knows the password, a proof is enough and is decisive. Before authentication
// nothing tells an unknown user from a wrong password.
//
// # What servers see
//
// A password crosses a connection to a server in clear only inside TLS, and for mysql_clear_password only if the
// server's certificate was verified. Without TLS caching_sha2_password may need the password encrypted with the
// server's RSA key, which is asked for on the same connection, as every client does: whoever can change the bytes on
// the way can then replace that key and learn the password. Use TLS with verification where that matters.
//
// The sections that comments cite are those of MySQL's "Client/Server Protocol" documentation.
package mysql
